import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  ApiException,
  CoordinationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  KubernetesObjectApi,
  makeInformer,
  PatchStrategy,
  RbacAuthorizationV1Api,
  setHeaderOptions,
  V1MicroTime,
  VersionApi,
  Watch,
} from '@kubernetes/client-node'
import { eventually } from '#base/wait.ts'
import { type Any, nadsPath, vmsPath } from '../component/api.ts'
import { type Cluster, startCluster } from '../component/cluster.ts'
import { linkStates, makeNamespace, nad, vm } from '../component/manifests.ts'

const vms = { group: 'kubevirt.io', version: 'v1', plural: 'virtualmachines' }
const nads = { group: 'k8s.cni.cncf.io', version: 'v1', plural: 'network-attachment-definitions' }
const interfacesOf = (object: Any): Any[] => object.spec.template.spec.domain.devices.interfaces
const as = (type: PatchStrategy) => setHeaderOptions('Content-Type', type)

/** What a call is refused with. */
async function refusal(call: Promise<unknown>): Promise<{ code: number; status: Any }> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof ApiException)) throw new Error('Nothing was refused', { cause: error })
  return { code: error.code, status: typeof error.body === 'string' ? JSON.parse(error.body) : error.body }
}

describe('@kubernetes/client-node', () => {
  let cluster: Cluster
  let config: KubeConfig
  let core: CoreV1Api
  let custom: CustomObjectsApi
  before(async () => {
    cluster = await startCluster()
    config = new KubeConfig()
    config.loadFromFile(cluster.dir.kubeconfig)
    core = config.makeApiClient(CoreV1Api)
    custom = config.makeApiClient(CustomObjectsApi)
  })
  after(() => cluster?.stop())

  const inNamespace = (names: readonly string[] = []) => makeNamespace(cluster.api, names)
  const halted = { runStrategy: 'Halted' }

  it('reads the kubeconfig and finds the server', async () => {
    assert.match((await config.makeApiClient(VersionApi).getCode()).gitVersion, /^v1\.\d+\.\d+\+/)
    const { items } = await core.listNode()
    assert.deepEqual(
      items.map((node) => node.metadata?.name),
      ['node1'],
    )
    assert.ok(items[0]?.metadata?.creationTimestamp instanceof Date)
    assert.ok(items[0]?.status?.conditions?.[0]?.lastHeartbeatTime instanceof Date)
    assert.equal(items[0]?.status?.nodeInfo?.operatingSystem, 'linux')
  })

  it('holds a lease by the microsecond, and records an event', async () => {
    const namespace = await inNamespace()
    const leases = config.makeApiClient(CoordinationV1Api)
    const renewTime = new V1MicroTime()
    const spec = { holderIdentity: 'me', leaseDurationSeconds: 15, acquireTime: renewTime, renewTime }
    const made = await leases.createNamespacedLease({ namespace, body: { metadata: { name: 'l' }, spec } })
    assert.equal(JSON.stringify(made.spec?.renewTime), JSON.stringify(renewTime))
    const body = { ...made, spec: { ...made.spec, holderIdentity: 'you', leaseTransitions: 1 } }
    const taken = await leases.replaceNamespacedLease({ namespace, name: 'l', body })
    assert.deepEqual([taken.spec?.holderIdentity, taken.spec?.leaseTransitions], ['you', 1])
    assert.equal((await refusal(leases.replaceNamespacedLease({ namespace, name: 'l', body }))).code, 409)
    const involvedObject = { kind: 'Lease', name: 'l', namespace }
    const event = { metadata: { name: 'l.1' }, involvedObject, reason: 'Taken', count: 1, lastTimestamp: new Date() }
    await core.createNamespacedEvent({ namespace, body: event })
    const { items } = await core.listNamespacedEvent({ namespace, fieldSelector: 'involvedObject.name=l' })
    assert.ok(items[0]?.lastTimestamp instanceof Date)
  })

  it('informs of a VM from its making to its end', async () => {
    const namespace = await inNamespace()
    const path = vmsPath(namespace)
    const list = async (): Promise<Any> => custom.listNamespacedCustomObject({ ...vms, namespace })
    const informer = makeInformer<Any>(config, path, list)
    const seen: string[] = []
    informer.on('add', (one) => seen.push(`add ${one.metadata.name}`))
    informer.on('update', (one) => seen.push(one.status?.printableStatus))
    informer.on('delete', (one) => seen.push(`delete ${one.metadata.name}`))
    await informer.start()
    try {
      await custom.createNamespacedCustomObject({ ...vms, namespace, body: vm('a') })
      await eventually('it runs', () => seen.at(-1) === 'Running')
      await custom.deleteNamespacedCustomObject({ ...vms, namespace, name: 'a' })
      await eventually('it is gone', () => seen.at(-1) === 'delete a')
      assert.equal(seen[0], 'add a')
      assert.deepEqual(informer.list(), [])
    } finally {
      await informer.stop()
    }
  })

  it('makes, reads, replaces, patches and deletes kinds of Kubernetes', async () => {
    const namespace = await inNamespace()
    const made = await core.createNamespacedConfigMap({
      namespace,
      body: { metadata: { name: 'c' }, data: { a: '1' } },
    })
    assert.equal(made.metadata?.namespace, namespace)
    const replaced = await core.replaceNamespacedConfigMap({
      namespace,
      name: 'c',
      body: { ...made, data: { a: '2', b: '2' } },
    })
    assert.deepEqual(replaced.data, { a: '2', b: '2' })
    const body: unknown = [{ op: 'remove', path: '/data/b' }]
    assert.deepEqual((await core.patchNamespacedConfigMap({ namespace, name: 'c', body })).data, { a: '2' })
    const { items } = await core.listNamespacedConfigMap({ namespace, fieldSelector: 'metadata.name=c' })
    assert.equal(items.length, 1)
    assert.equal((await core.deleteNamespacedConfigMap({ namespace, name: 'c' })).status, 'Success')
    assert.equal((await refusal(core.readNamespacedConfigMap({ namespace, name: 'c' }))).code, 404)
    const roles = await config.makeApiClient(RbacAuthorizationV1Api).listClusterRole()
    assert.ok(roles.items.some((role) => role.metadata?.name === 'kubevirt.io:edit'))
  })

  it('patches a running VM in every way there is', async () => {
    const namespace = await inNamespace(['red'])
    await custom.createNamespacedCustomObject({ ...vms, namespace, body: vm('a', [{ name: 'red' }]) })
    const one = { ...vms, namespace, name: 'a' }
    const vmi = { ...one, plural: 'virtualmachineinstances' }
    const links = (want: string) =>
      eventually(want, async () => {
        const found = await custom.getNamespacedCustomObject(vmi).catch(() => undefined)
        return linkStates(found)?.join() === want
      })
    await links('default up,red up')
    const path = '/spec/template/spec/domain/devices/interfaces/1/state'
    await custom.patchNamespacedCustomObject({ ...one, body: [{ op: 'add', path, value: 'down' }] })
    await links('default up,red down')
    const interfaces = interfacesOf(await custom.getNamespacedCustomObject(one)).map((nic) => ({ ...nic, state: 'up' }))
    const devices = (list: readonly unknown[]) => ({
      spec: { template: { spec: { domain: { devices: { interfaces: list } } } } },
    })
    await custom.patchNamespacedCustomObject({ ...one, body: devices(interfaces) }, as(PatchStrategy.MergePatch))
    await links('default up,red up')
    await custom.patchNamespacedCustomObject(
      { ...one, body: devices([{ name: 'default', state: 'down' }]) },
      as(PatchStrategy.StrategicMergePatch),
    )
    await links('default down,red up')
    const applied = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata: { name: 'a' } }
    const body = { ...applied, ...devices([{ name: 'default', state: 'up' }]) }
    const apply = as(PatchStrategy.ServerSideApply)
    const conflict = await refusal(custom.patchNamespacedCustomObject({ ...one, body, fieldManager: 'me' }, apply))
    assert.deepEqual([conflict.code, conflict.status.reason], [409, 'Conflict'])
    assert.match(conflict.status.message, /conflicts? with "/)
    await custom.patchNamespacedCustomObject({ ...one, body, fieldManager: 'me', force: true }, apply)
    await links('default up,red up')
  })

  it('replaces and deletes VMs, one and many', async () => {
    const namespace = await inNamespace()
    const make = (name: string, app: string) =>
      custom.createNamespacedCustomObject({
        ...vms,
        namespace,
        body: { ...vm(name, [], halted), metadata: { name, labels: { app } } },
      })
    await make('a', 'x')
    await make('b', 'x')
    await make('c', 'y')
    const one = { ...vms, namespace, name: 'a' }
    // Controllers write too, and what is replaced must be the newest.
    const replaced = await eventually('replaced', async () => {
      const old: Any = await custom.getNamespacedCustomObject(one)
      const body = { ...old, spec: { ...old.spec, runStrategy: 'Manual' } }
      return custom.replaceNamespacedCustomObject({ ...one, body }).catch(() => undefined)
    })
    assert.equal((replaced as Any).spec.runStrategy, 'Manual')
    const gone: Any = await custom.deleteNamespacedCustomObject({ ...vms, namespace, name: 'c' })
    assert.ok(gone.status === 'Success' || gone.metadata.deletionTimestamp)
    await custom.deleteCollectionNamespacedCustomObject({ ...vms, namespace, labelSelector: 'app=x' })
    await eventually('all are gone', async () => {
      const { items }: Any = await custom.listNamespacedCustomObject({ ...vms, namespace })
      return items.length === 0
    })
  })

  it('tells what is refused by code, reason and causes', async () => {
    const namespace = await inNamespace(['red'])
    const missing = await refusal(custom.getNamespacedCustomObject({ ...vms, namespace, name: 'nobody' }))
    assert.deepEqual([missing.code, missing.status.reason, missing.status.details.name], [404, 'NotFound', 'nobody'])
    const create = (body: unknown, where = nads) => custom.createNamespacedCustomObject({ ...where, namespace, body })
    const twice = await refusal(create(nad('red')))
    assert.deepEqual([twice.code, twice.status.reason], [409, 'AlreadyExists'])
    const one = { ...nads, namespace, name: 'red' }
    const old: Any = await custom.getNamespacedCustomObject(one)
    await custom.replaceNamespacedCustomObject({ ...one, body: { ...old, spec: { config: '{}' } } })
    const late = await refusal(custom.replaceNamespacedCustomObject({ ...one, body: old }))
    assert.deepEqual([late.code, late.status.reason], [409, 'Conflict'])
    const bad = vm('bad', [{ name: 'b', state: 'broken' }], { running: true, runStrategy: 'Always' })
    const wrong = await refusal(create(bad, vms))
    assert.deepEqual([wrong.code, wrong.status.reason], [422, 'Invalid'])
    assert.deepEqual(
      wrong.status.details.causes.map((cause: Any) => cause.field),
      ['spec.running', 'spec.template.spec.domain.devices.interfaces[1].state'],
    )
    const nowhere = await refusal(core.listNamespacedPod({ namespace, labelSelector: 'a b' }))
    assert.equal(nowhere.code, 400)
  })

  it('reads long lists page by page', async () => {
    const namespace = await inNamespace(['a', 'b', 'c', 'd', 'e'])
    const names: string[] = []
    let _continue: string | undefined
    do {
      const page: Any = await custom.listNamespacedCustomObject({
        ...nads,
        namespace,
        limit: 2,
        ...(_continue && { _continue }),
      })
      names.push(...page.items.map((one: Any) => one.metadata.name))
      _continue = page.metadata._continue ?? page.metadata.continue
    } while (_continue)
    assert.deepEqual(names, ['a', 'b', 'c', 'd', 'e'])
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'x' } } })
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'y' } } })
    const first = await core.listNamespacedConfigMap({ namespace, limit: 1 })
    assert.equal(first.metadata?.remainingItemCount, 1)
    const rest = await core.listNamespacedConfigMap({ namespace, limit: 1, _continue: first.metadata?._continue ?? '' })
    assert.deepEqual([first, rest].map(({ items }) => items[0]?.metadata?.name).join(), 'x,y')
  })

  it('watches', async () => {
    const namespace = await inNamespace(['a'])
    const seen: string[] = []
    const ended = Promise.withResolvers<unknown>()
    const controller = await new Watch(config).watch(
      nadsPath(namespace),
      { allowWatchBookmarks: true },
      (type, object) => seen.push(`${type} ${object.metadata.name}`),
      ended.resolve,
    )
    await eventually('the first', () => seen.length === 1)
    await cluster.api.patch(nadsPath(namespace, 'a'), { metadata: { labels: { x: '1' } } })
    await cluster.api.delete(nadsPath(namespace, 'a'))
    await eventually('all', () => seen.length === 3)
    assert.deepEqual(seen, ['ADDED a', 'MODIFIED a', 'DELETED a'])
    controller.abort()
    assert.equal(((await ended.promise) as Error).name, 'AbortError')
  })

  it('informs of every object, over watches that the server ends, and over history that is gone', async () => {
    const namespace = await inNamespace(['a'])
    let lists = 0
    const list = async (): Promise<Any> => {
      lists++
      return custom.listNamespacedCustomObject({ ...nads, namespace })
    }
    let connects = 0
    const informer = makeInformer<Any>(config, `${nadsPath(namespace)}?timeoutSeconds=1`, list)
    const seen: string[] = []
    for (const verb of ['add', 'update', 'delete'] as const)
      informer.on(verb, (object) => seen.push(`${verb} ${object.metadata.name}`))
    const errors: unknown[] = []
    informer.on('error', (error) => errors.push(error))
    informer.on('connect', () => connects++)
    await informer.start()
    try {
      await eventually('connected again', () => connects > 1)
      assert.equal(lists, 1)
      await cluster.api.create(nadsPath(namespace), nad('b'))
      await eventually('b', () => seen.includes('add b'))
      // What the informer knows is older than all that is left of history.
      await cluster.api.create(nadsPath('default'), nad('elsewhere'))
      await cluster.api.delete(nadsPath('default', 'elsewhere'))
      await cluster.store.compact(cluster.store.revision)
      await eventually('listed again', () => lists > 1)
      await cluster.api.delete(nadsPath(namespace, 'a'))
      await eventually('a is gone', () => seen.includes('delete a'))
      assert.deepEqual(
        informer.list().map((one) => one.metadata.name),
        ['b'],
      )
      assert.deepEqual(errors, [])
    } finally {
      await informer.stop()
    }
  })

  it('handles any object by its manifest, and applies on the server', async () => {
    const namespace = await inNamespace(['red'])
    const objects = KubernetesObjectApi.makeApiClient(config)
    const header = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata: { name: 'a', namespace } }
    const input = { ...vm('a', [{ name: 'red' }], halted), ...header }
    const apply = (force?: boolean) =>
      objects.patch<Any>(input, undefined, undefined, 'me', force, PatchStrategy.ServerSideApply)
    const first = await apply()
    assert.match(interfacesOf(first)[1].macAddress, /^02:70:62:/)
    const second = await apply()
    assert.deepEqual([second.metadata.generation, second.spec], [first.metadata.generation, first.spec])
    assert.equal((await objects.read<Any>(header)).metadata.uid, first.metadata.uid)
    const { items } = await objects.list<Any>('kubevirt.io/v1', 'VirtualMachine', namespace)
    assert.equal(items.length, 1)
    await objects.patch(
      { ...header, metadata: { ...header.metadata, labels: { x: 'y' } } },
      undefined,
      undefined,
      undefined,
      undefined,
      PatchStrategy.MergePatch,
    )
    const bare = await eventually('replaced', async () => {
      const now = await objects.read<Any>(header)
      return objects.replace<Any>({ ...now, metadata: { ...now.metadata, labels: {} } }).catch(() => undefined)
    })
    assert.equal(bare.metadata.labels, undefined)
    assert.equal((await refusal(objects.create(input))).code, 409)
    await objects.delete(header)
    await eventually('gone', async () => (await refusal(objects.read(header)).catch(() => undefined))?.code === 404)
    assert.deepEqual(cluster.errors, [])
  })
})
