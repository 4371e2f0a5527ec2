import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { decodeObject } from '#machinery/rest/protobuf.ts'
import { type Answer, type Any, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, vm } from './manifests.ts'

const type = 'application/vnd.kubernetes.protobuf'
/** What client-go accepts for the kinds it was compiled with. */
const preferred = `${type},application/json`
const metadata = (what: string) => `${type};as=${what};v=v1;g=meta.k8s.io`

describe('a client that accepts protobuf', () => {
  let cluster: Cluster
  let ns: string
  let maps: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api)
    maps = `/api/v1/namespaces/${ns}/configmaps`
    // More of them than a list has in one part.
    for (let i = 0; i < 130; i++)
      await cluster.api.create(maps, { metadata: { name: `m${i}`, labels: { i: `${i}` } }, data: { text: 'Grüße' } })
    await cluster.api.create(vmsPath(ns), vm('a', [], { runStrategy: 'Halted' }))
  })
  after(() => cluster?.stop())

  const send = (method: string, path: string, accept = preferred, body?: unknown) =>
    cluster.api.send(method, path, { headers: { accept }, ...(body !== undefined && { body }) })

  it('gets it of one object, of long and of short lists, as JSON would have it', async () => {
    for (const path of [
      `${maps}/m1`,
      maps,
      `${maps}?labelSelector=i=1`,
      `${maps}?limit=2`,
      '/api/v1/namespaces',
      '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
    ]) {
      const { json } = await cluster.api.send('GET', path)
      const { resourceVersion: _, continue: __, ...meta } = json.metadata
      const found = decodedIn(await send('GET', path), 200)
      const { resourceVersion: ___, continue: ____, ...rest } = found.metadata
      assert.deepEqual({ ...found, metadata: rest }, { ...json, metadata: meta }, path)
    }
    const { metadata: page } = decodedIn(await send('GET', `${maps}?limit=2`), 200)
    const next = decodedIn(await send('GET', `${maps}?limit=2&continue=${page.continue}`), 200)
    assert.equal(next.items[0].metadata.name, 'm10')
  })

  it('gets it of every kind there is in a group of Kubernetes, and JSON of the others', async () => {
    const { groups } = (await cluster.api.send('GET', '/apis')).json
    const versions = [
      '/api/v1',
      ...groups.flatMap(({ versions: all }: Any) => all.map((one: Any) => `/apis/${one.groupVersion}`)),
    ]
    const [encoded, plain] = [new Set<string>(), new Set<string>()]
    for (const root of versions)
      for (const { name, kind, verbs } of (await cluster.api.send('GET', root)).json.resources) {
        if (!verbs.includes('list')) continue
        const answer = await send('GET', `${root}/${name}`)
        const isEncoded = answer.headers['content-type'] === type
        const list: Any = isEncoded ? decodeObject(answer.bytes) : answer.json
        assert.deepEqual(
          [answer.code, list.kind, list.apiVersion],
          [200, `${kind}List`, root.replace(/^\/apis?\//, '')],
        )
        if (isEncoded) encoded.add(`${root} ${name}`)
        // There are none of what cannot be made.
        else if (verbs.includes('create')) plain.add(root)
      }
    assert.ok(encoded.size >= 12, [...encoded].join())
    assert.ok(encoded.has('/apis/events.k8s.io/v1 events') && encoded.has('/api/v1 pods'))
    for (const root of plain) assert.match(root, /^\/apis\/(((cdi|instancetype)\.)?kubevirt\.io|k8s\.cni\.cncf\.io)\//)
  })

  it('gets it of what is written, deleted, refused and reviewed', async () => {
    const body = { metadata: { name: 'written' }, data: { a: 'b' } }
    const made = decodedIn(await send('POST', maps, preferred, body), 201)
    assert.deepEqual([made.kind, made.data, made.metadata.namespace], ['ConfigMap', { a: 'b' }, ns])
    const again = decodedIn(await send('POST', maps, preferred, body), 409)
    assert.deepEqual(
      [again.kind, again.status, again.reason, again.code, again.details],
      ['Status', 'Failure', 'AlreadyExists', 409, { name: 'written', kind: 'configmaps' }],
    )
    const put = { ...body, data: { a: 'c' } }
    assert.deepEqual(decodedIn(await send('PUT', `${maps}/written`, preferred, put), 200).data, { a: 'c' })
    const gone = decodedIn(await send('DELETE', `${maps}/written`), 200)
    assert.deepEqual([gone.kind, gone.status, gone.details.uid], ['Status', 'Success', made.metadata.uid])
    assert.equal(decodedIn(await send('GET', `${maps}/written`), 404).reason, 'NotFound')
    assert.equal(decodedIn(await send('GET', '/api/v1/nothing'), 404).reason, 'NotFound')
    const review = { spec: { resourceAttributes: { verb: 'get', resource: 'pods' } } }
    const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
    assert.equal(decodedIn(await send('POST', path, preferred, review), 201).status.allowed, true)
  })

  it('gets it of metadata alone, of custom kinds too', async () => {
    for (const path of [`${maps}/m1`, vmsPath(ns, 'a')]) {
      const { metadata: meant } = await cluster.api.get(path)
      const found = decodedIn(await send('GET', path, metadata('PartialObjectMetadata')), 200)
      assert.deepEqual(found, { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: meant })
    }
    const { items, kind } = decodedIn(await send('GET', vmsPath(ns), metadata('PartialObjectMetadataList')), 200)
    assert.deepEqual([kind, items.length, items[0].metadata.name], ['PartialObjectMetadataList', 1, 'a'])
  })

  it('follows changes as frames, each with its length and an object that says what it is', async () => {
    const query =
      'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1&timeoutSeconds=1'
    const path = `${maps}?${query}&labelSelector=i%20in%20(1,watched)`
    const watching = send('GET', path)
    const object = await cluster.api.create(maps, { metadata: { name: 'watched', labels: { i: 'watched' } } })
    await cluster.api.delete(`${maps}/watched`)
    const { code, headers, bytes } = await watching
    assert.deepEqual([code, headers['content-type']], [200, `${type};stream=watch`])
    const events = eventsIn(bytes)
    const [first, last] = [events[0], events.at(-1)]
    assert.deepEqual([first?.type, first?.object], ['ADDED', await cluster.api.get(`${maps}/m1`)])
    const [added, deleted] = events.filter(({ object }) => object.metadata.name === 'watched')
    // The watch may begin after the object was made, and even after it was deleted.
    if (added?.type === 'ADDED') assert.deepEqual(added.object, object)
    if (deleted) assert.equal(deleted.type, 'DELETED')
    assert.ok(events.some(({ type }) => type === 'BOOKMARK'))
    assert.equal(last?.object.kind, 'ConfigMap')
  })

  it('gets JSON of custom kinds and tables, and 406 where it accepts nothing else', async () => {
    const table = 'application/json;as=Table;v=v1;g=meta.k8s.io'
    assert.equal((await send('GET', `${maps}/m1`, `${metadata('Table')},${table}`)).json.kind, 'Table')
    const one = await send('GET', vmsPath(ns, 'a'))
    assert.deepEqual([one.headers['content-type'], one.json.kind], ['application/json', 'VirtualMachine'])
    assert.equal((await send('GET', vmsPath(ns))).json.kind, 'VirtualMachineList')
    const unseen = vm('unseen', [], { runStrategy: 'Halted' })
    for (const answer of [
      await send('GET', vmsPath(ns, 'a'), type),
      await send('GET', vmsPath(ns), type),
      await send('GET', `${vmsPath(ns)}?watch=1`, type),
      await send('POST', vmsPath(ns), type, unseen),
      await send('GET', maps, metadata('Table')),
    ])
      assert.deepEqual([decodedStatus(answer).code, decodedStatus(answer).reason], [406, 'NotAcceptable'])
    assert.equal(await cluster.api.get(vmsPath(ns, 'unseen')), undefined)
  })
})

/** The object in an answer, which has to be protobuf. */
function decodedIn({ code, headers, bytes }: Answer, expected: number): Any {
  assert.deepEqual([code, headers['content-type']], [expected, type])
  return decodeObject(bytes)
}

/** The Status of a refusal, in whichever of the encodings there is. */
function decodedStatus({ headers, bytes, json }: Answer): Any {
  return headers['content-type'] === type ? decodeObject(bytes) : json
}

/** The frames of a watch: field 1 is the type, and the object begins where its own header does. */
function eventsIn(bytes: Buffer): readonly { type: string; object: Any }[] {
  const events: { type: string; object: Any }[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at)
    const frame = bytes.subarray(at + 4, end)
    const body = frame.subarray(frame.indexOf('k8s\0'))
    events.push({ type: frame.subarray(2, 2 + (frame[1] ?? 0)).toString(), object: decodeObject(body) })
    at = end
  }
  return events
}
