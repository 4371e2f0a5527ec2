import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Answer, type Any, nadsPath, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, nad, run, vm } from './manifests.ts'

describe('the API over HTTPS', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api, ['red'])
  })
  after(() => cluster?.stop())

  /** Every refusal is a Status whose code is the answer's. */
  function refused({ code, json, headers }: Answer, want: number, message: RegExp): Any {
    assert.equal(code, want, JSON.stringify(json))
    assert.match(headers['content-type'] ?? '', /^application\/json/)
    assert.deepEqual([json.kind, json.apiVersion, json.status, json.code], ['Status', 'v1', 'Failure', want])
    assert.match(json.message, message)
    return json
  }

  it('answers about itself to anybody', async () => {
    for (const path of ['/healthz', '/livez', '/readyz']) {
      const { code, text } = await cluster.anonymous.send('GET', path)
      assert.deepEqual([code, text], [200, 'ok'])
    }
    const { json } = await cluster.anonymous.send('GET', '/version')
    assert.equal(json.major, '1')
  })

  it('refuses those without a certificate, and those whose certificate gives them no right', async () => {
    const stranger = await cluster.as('mallory', ['developers'])
    const may = 'API group "kubevirt.io" in the namespace'
    for (const path of [vmsPath(ns), '/api', '/apis', '/openapi/v3', '/nosuch'])
      refused(await cluster.anonymous.send('GET', path), 401, /^Unauthorized: present a client certificate/)
    for (const path of ['/api', '/apis', '/openapi/v3']) assert.equal((await stranger.send('GET', path)).code, 200)
    refused(await stranger.send('GET', '/nosuch'), 403, /^forbidden: User "mallory" cannot get path "\/nosuch"$/)
    const list = `virtualmachines.kubevirt.io is forbidden: User "mallory" cannot list resource "virtualmachines" in ${may} "${ns}"`
    assert.equal(refused(await stranger.send('GET', vmsPath(ns)), 403, /./).message, list)
    refused(await stranger.send('POST', vmsPath(ns), { body: vm('a') }), 403, /cannot create resource/)
    for (const authorization of ['Bearer nonsense', 'Basic YTpi', 'Bearer a.b.c'])
      refused(await cluster.anonymous.send('GET', '/api', { headers: { authorization } }), 401, /^Unauthorized$/)
    const groupless = await cluster.as('nobody', [])
    refused(await groupless.send('GET', vmsPath(ns)), 403, /User "nobody"/)
    const one = await cluster.as('root2', ['developers', 'system:masters'])
    assert.equal((await one.send('GET', vmsPath(ns))).code, 200)
  })

  it('knows who has a valid certificate by that, whatever token is beside it', async () => {
    for (const authorization of ['Bearer nonsense', 'Bearer a.b.c', 'Basic YTpi']) {
      const self = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
      const { code, json } = await cluster.api.send('POST', self, { body: {}, headers: { authorization } })
      assert.equal(code, 201)
      assert.equal(json.status.userInfo.username, 'admin')
    }
  })

  it('answers 404 with a Status about what it does not serve', async () => {
    const paths = [
      '/nosuch',
      '/apis/nosuch.io/v1',
      '/apis/kubevirt.io/v9/virtualmachines',
      `/apis/kubevirt.io/v1/namespaces/${ns}/nosuch`,
      '/apis/kubevirt.io/v1/virtualmachines/a',
      `/api/v1/namespaces/${ns}/nodes`,
      vmsPath(ns, 'a/nosuch/more'),
    ]
    for (const path of paths) refused(await cluster.api.send('GET', path), 404, /could not find the requested resource/)
    refused(
      await cluster.api.send('GET', vmsPath(ns, 'nobody')),
      404,
      /^virtualmachines.kubevirt.io "nobody" not found$/,
    )
    // As kube-apiserver: a subresource that is not there says nothing about the object.
    for (const path of ['red/status', 'red/log'])
      refused(
        await cluster.api.send('GET', nadsPath(ns, path)),
        404,
        /^the server could not find the requested resource$/,
      )
  })

  it('answers 405 to methods that make no sense', async () => {
    const name = nadsPath(ns, 'red')
    for (const [method, path] of [
      ['POST', name],
      ['PUT', nadsPath(ns)],
      ['PATCH', nadsPath(ns)],
      ['DELETE', '/apis/kubevirt.io/v1/virtualmachines'],
      ['POST', '/apis/kubevirt.io/v1/virtualmachines'],
      ['OPTIONS', name],
    ] as const)
      refused(
        await cluster.api.send(method, path, { ...(method !== 'DELETE' && { body: {} }) }),
        405,
        /does not allow this method/,
      )
  })

  it('answers 400 to bodies that are no objects, 415 to types it cannot read, 413 to what is too large', async () => {
    const post = (body: string, type?: string) =>
      cluster.api.send('POST', vmsPath(ns), { body, ...(type !== undefined && { type }) })
    refused(await post('{"a":'), 400, /not well-formed/)
    refused(await post('[]'), 400, /must be an object/)
    refused(await post('a: [', 'application/yaml'), 400, /not well-formed/)
    refused(await post('{}', 'text/plain'), 415, /unknown format \(text\/plain\)/)
    refused(await post(`{"a":"${'x'.repeat(3 * 1024 * 1024)}"}`), 413, /larger than 3145728 bytes/)
    refused(await post(`${'{"a":'.repeat(500)}1${'}'.repeat(500)}`), 400, /nested deeper/)
    refused(await post(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`), 413, /more than 20000 values/)
  })

  it('takes YAML where JSON would do', async () => {
    const body = `apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {name: yaml}\nspec: {config: '{}'}\n`
    const { code, json } = await cluster.api.send('POST', nadsPath(ns), {
      body,
      type: 'application/yaml; charset=utf-8',
    })
    assert.deepEqual([code, json.spec], [201, { config: '{}' }])
  })

  it('tells of unknown fields, refuses them when asked to be strict, and never stores them', async () => {
    const body = { ...vm('fields', [], { runStrategy: 'Halted', bogus: 1 }), more: 2 }
    const strict = await cluster.api.send('POST', `${vmsPath(ns)}?fieldValidation=Strict`, { body })
    refused(strict, 400, /strict decoding error: unknown field "spec.bogus", unknown field "more"$/)
    const ignored = await cluster.api.send('POST', `${vmsPath(ns)}?fieldValidation=Ignore&dryRun=All`, { body })
    assert.equal(ignored.headers.warning, undefined)
    const { code, json, headers } = await cluster.api.send('POST', vmsPath(ns), { body })
    assert.equal(code, 201)
    assert.equal(headers.warning, '299 - "unknown field \\"spec.bogus\\"", 299 - "unknown field \\"more\\""')
    assert.deepEqual([json.spec.bogus, json.more], [undefined, undefined])
    refused(await cluster.api.send('POST', `${vmsPath(ns)}?fieldValidation=Loose`, { body }), 422, /supported values/)
  })

  it('refuses a bad VM with every fault and its path', async () => {
    const bad = vm('bad', [{ name: 'b', state: 'broken' }, { name: 'b' }], { running: true })
    bad.spec.template.spec.domain.devices.interfaces[0].state = 'absent'
    const { message, details } = refused(
      await cluster.api.send('POST', vmsPath(ns), { body: bad }),
      422,
      /^admission webhook "virtualmachine-validator.kubevirt.io" denied the request: /,
    )
    assert.deepEqual([details.name, details.kind, details.group], ['bad', 'VirtualMachine', 'kubevirt.io'])
    const at = 'spec.template.spec.domain.devices.interfaces'
    assert.deepEqual(
      details.causes.map((cause: Any) => `${cause.field}: ${cause.message}`),
      [
        'spec.running: running and runstrategy are mutually exclusive',
        'spec.template.spec.networks[2].name: Network with name "b" already exists, every network must have a unique name',
        `${at}[0].state: "default" interface's state "absent" is supported only for bridge binding`,
        `${at}[0].state: "default" interface's state "absent" is not supported on default networks`,
        `${at}[1].state: logical b interface state value is unsupported: broken`,
        `${at}[2].name: Only one interface can be connected to one specific network`,
      ],
    )
    assert.equal(
      message,
      `admission webhook "virtualmachine-validator.kubevirt.io" denied the request: ${details.causes.map((cause: Any) => cause.message).join(', ')}`,
    )
    const shapeless = vm('bad')
    shapeless.spec.template.spec.domain.devices.interfaces = [{ name: 5, masquerade: {} }, 'x']
    const schema = refused(
      await cluster.api.send('POST', vmsPath(ns), { body: shapeless }),
      422,
      /^VirtualMachine.kubevirt.io "bad" is invalid: \[/,
    )
    assert.deepEqual(
      schema.details.causes.map((cause: Any) => cause.field),
      [`${at}[0].name`, `${at}[1]`],
    )
  })

  it('lets nobody change the spec of an instance, nor move what does not exist, and says why', async () => {
    const vmi = await run(cluster.api, ns, vm('mine'))
    const patch = (body: unknown) =>
      cluster.api.send('PATCH', vmisPath(ns, 'mine'), { body, type: 'application/merge-patch+json' })
    refused(await patch({ spec: { hostname: 'x' } }), 422, /update of VMI object is restricted$/)
    assert.equal((await patch({ metadata: { labels: { x: 'y' } } })).code, 200)
    assert.deepEqual((await cluster.api.get(vmisPath(ns, 'mine'))).spec, vmi.spec)
    const migration = { metadata: { generateName: 'm-' }, spec: { vmiName: 'nobody' } }
    const path = `/apis/kubevirt.io/v1/namespaces/${ns}/virtualmachineinstancemigrations`
    refused(await cluster.api.send('POST', path, { body: migration }), 422, /the VMI ".*\/nobody" does not exist$/)
    assert.deepEqual(await cluster.api.list(path), [])
  })

  it('refuses patches it cannot apply', async () => {
    const patch = (body: unknown, type: string, name = 'red') =>
      cluster.api.send('PATCH', nadsPath(ns, name), { body, type })
    refused(
      await patch({}, 'application/strategic'),
      415,
      /accepted media types include: application\/json-patch\+json, application\/merge-patch\+json, application\/strategic-merge-patch\+json, application\/apply-patch\+yaml$/,
    )
    refused(await patch({}, 'application/json'), 415, /unknown format/)
    refused(
      await patch([{ op: 'test', path: '/spec/config', value: 'x' }], 'application/json-patch+json'),
      422,
      /Test operation failed/,
    )
    refused(await patch([{ op: 'remove', path: '/nope' }], 'application/json-patch+json'), 422, /error in our request/)
    refused(await patch({ op: 'remove' }, 'application/json-patch+json'), 400, /must be a list of operations/)
    refused(await patch([], 'application/merge-patch+json'), 400, /must be an object/)
    refused(await patch({}, 'application/merge-patch+json', 'nobody'), 404, /"nobody" not found/)
    refused(
      await patch({ metadata: { name: 'other' } }, 'application/merge-patch+json'),
      400,
      /does not match the name on the URL/,
    )
    const node = await cluster.api.send('PATCH', '/api/v1/nodes/node1', {
      body: { metadata: { labels: { x: 'y' } } },
      type: 'application/strategic-merge-patch+json',
    })
    assert.deepEqual([node.code, node.json.metadata.labels.x], [200, 'y'])
  })

  it('refuses a write over an old version and takes one over the newest', async () => {
    const old = await cluster.api.create(nadsPath(ns), nad('versions'))
    const next = await cluster.api.patch(nadsPath(ns, 'versions'), { metadata: { labels: { n: '1' } } })
    const put = (body: unknown) => cluster.api.send('PUT', nadsPath(ns, 'versions'), { body })
    refused(
      await put({ ...old, spec: { config: '{}' } }),
      409,
      /the object has been modified; please apply your changes to the latest version and try again$/,
    )
    const same = await put(next)
    assert.deepEqual([same.code, same.json.metadata.resourceVersion], [200, next.metadata.resourceVersion])
    assert.equal((await put({ ...next, spec: { config: '{}' } })).json.spec.config, '{}')
  })

  it('applies 64 patches that come at once', async () => {
    await cluster.api.create(nadsPath(ns), nad('busy'))
    const patches = Array.from({ length: 64 }, (_, i) =>
      cluster.api.patch(nadsPath(ns, 'busy'), { metadata: { annotations: { [`n${i}`]: String(i) } } }),
    )
    const answers = await Promise.all(patches)
    assert.equal(new Set(answers.map(({ metadata }) => metadata.resourceVersion)).size, 64)
    assert.equal(Object.keys((await cluster.api.get(nadsPath(ns, 'busy'))).metadata.annotations).length, 64)
  })

  it('writes nothing in a dry run, asked for by query or body', async () => {
    await cluster.api.create(nadsPath(ns), nad('dry'))
    const send = async (method: string, path: string, body?: unknown, type?: string) => {
      const { code } = await cluster.api.send(method, path, { body, ...(type && { type }) })
      return code
    }
    const { items } = await cluster.api.get(nadsPath(ns))
    const dry = nadsPath(ns, 'dry')
    assert.equal(await send('POST', `${nadsPath(ns)}?dryRun=All`, nad('dry2')), 201)
    assert.equal(
      await send('PATCH', `${dry}?dryRun=All`, { spec: { config: '{}' } }, 'application/merge-patch+json'),
      200,
    )
    assert.equal(await send('PUT', `${dry}?dryRun=All`, { ...nad('dry'), spec: { config: '{}' } }), 200)
    assert.equal(await send('DELETE', `${dry}?dryRun=All`), 200)
    assert.equal(await send('DELETE', dry, { dryRun: ['All'] }), 200)
    assert.equal(await send('DELETE', nadsPath(ns), { dryRun: ['All'] }), 200)
    assert.deepEqual((await cluster.api.get(nadsPath(ns))).items, items)
    refused(await cluster.api.send('DELETE', `${dry}?dryRun=Some`), 422, /supported values: "All"/)
  })

  it('deletes a collection by selector, and one object only under its preconditions', async () => {
    const collection = await makeNamespace(cluster.api, ['a', 'b', 'c'])
    await cluster.api.patch(nadsPath(collection, 'b'), { metadata: { labels: { keep: 'yes' } } })
    const { json } = await cluster.api.send('DELETE', `${nadsPath(collection)}?labelSelector=keep!%3Dyes`)
    assert.deepEqual(
      json.items.map((one: Any) => one.metadata.name),
      ['a', 'c'],
    )
    assert.deepEqual(
      (await cluster.api.list(nadsPath(collection))).map((one) => one.metadata.name),
      ['b'],
    )
    const conditional = await cluster.api.send('DELETE', nadsPath(collection, 'b'), {
      body: { preconditions: { uid: 'other' } },
    })
    refused(conditional, 409, /Precondition failed: UID in precondition: other/)
    const gone = await cluster.api.delete(nadsPath(collection, 'b'))
    assert.deepEqual([gone.kind, gone.status, gone.details.name], ['Status', 'Success', 'b'])
  })

  it('describes itself so that clients find every kind', async () => {
    const { groups } = await cluster.api.get('/apis')
    assert.deepEqual(
      groups.map((group: Any) => group.preferredVersion.groupVersion),
      [
        'authentication.k8s.io/v1',
        'authorization.k8s.io/v1',
        'cdi.kubevirt.io/v1beta1',
        'coordination.k8s.io/v1',
        'events.k8s.io/v1',
        'instancetype.kubevirt.io/v1beta1',
        'k8s.cni.cncf.io/v1',
        'kubevirt.io/v1',
        'policy/v1',
        'rbac.authorization.k8s.io/v1',
        'storage.k8s.io/v1',
        'subresources.kubevirt.io/v1',
        'upload.cdi.kubevirt.io/v1beta1',
      ],
    )
    const { resources } = await cluster.api.get('/apis/kubevirt.io/v1')
    const found = resources.find((one: Any) => one.name === 'virtualmachines')
    assert.deepEqual([found.kind, found.shortNames, found.namespaced], ['VirtualMachine', ['vm', 'vms'], true])
    const { paths } = await cluster.api.get('/openapi/v3')
    for (const { serverRelativeURL } of Object.values<Any>(paths)) {
      const document = await cluster.api.get(serverRelativeURL)
      assert.equal(document.openapi, '3.0.0')
      for (const [, ref] of JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g))
        assert.ok(document.components.schemas[ref!], `${ref} is described`)
    }
  })

  it('shows lists as tables to those who ask, of one namespace or all', async () => {
    const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' }
    const { json } = await cluster.api.send('GET', podsPath(ns), { headers })
    assert.deepEqual([json.kind, json.rows[0].cells.slice(1, 3)], ['Table', ['1/1', 'Running']])
    const all = await cluster.api.list('/apis/k8s.cni.cncf.io/v1/network-attachment-definitions')
    assert.ok(all.length > 1 && new Set(all.map((one) => one.metadata.namespace)).size > 0)
  })

  it('tells of fields that are there twice, or refuses them when asked to be strict', async () => {
    const text = '{"metadata":{"name":"twice"},"data":{"a":"1","a":"2"}}'
    const send = (query: string) =>
      cluster.api.send('POST', `/api/v1/namespaces/default/configmaps?dryRun=All${query}`, {
        body: text,
      })
    refused(await send('&fieldValidation=Strict'), 400, /strict decoding error: duplicate field "data.a"$/)
    assert.equal((await send('&fieldValidation=Ignore')).code, 201)
    const warned = await send('')
    assert.deepEqual([warned.code, warned.headers.warning], [201, '299 - "duplicate field \\"data.a\\""'])
    const path = '/api/v1/namespaces/kube-system/configmaps/twice'
    await cluster.api.create('/api/v1/namespaces/kube-system/configmaps', { metadata: { name: 'twice' } })
    for (const type of ['merge-patch+json', 'strategic-merge-patch+json']) {
      const options = { type: `application/${type}`, body: '{"data":{"a":"1","a":"2"}}' }
      refused(
        await cluster.api.send('PATCH', `${path}?fieldValidation=Strict`, options),
        400,
        /duplicate field "data.a"$/,
      )
      const { headers } = await cluster.api.send('PATCH', `${path}?dryRun=All`, options)
      assert.equal(headers.warning, '299 - "duplicate field \\"data.a\\""')
    }
    const applied = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"a":"1","a":"2"}}'
    const apply = { type: 'application/apply-patch+yaml', body: applied }
    refused(await cluster.api.send('PATCH', `${path}?fieldManager=m`, apply), 400, /has "data.a" twice$/)
    const review = '{"spec":{"nonResourceAttributes":{"verb":"get","verb":"list","path":"/"}}}'
    const reviews = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
    const asked = await cluster.api.send('POST', `${reviews}?fieldValidation=Strict`, { body: review })
    refused(asked, 400, /duplicate field "spec.nonResourceAttributes.verb"$/)
  })

  it('refuses selectors it does not understand instead of selecting too much', async () => {
    for (const query of ['labelSelector=a%20b', 'fieldSelector=metadata.nope!%3Dx', 'fieldSelector=x'])
      for (const watch of ['', '&watch=1'])
        refused(
          await cluster.api.send('GET', `${nadsPath(ns)}?${query}${watch}`),
          400,
          /unable to parse|not supported|invalid field selector/,
        )
  })
})
