import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, type Api, nadsPath, vmisPath, vmsPath } from './api.ts'
import { cli } from './cli-kit.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, nad, podOf, run, vm } from './manifests.ts'

const annotation = 'patchbay.dev/mirror'
const rbac = '/apis/rbac.authorization.k8s.io/v1'

describe('copies of all traffic of a network', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(async () => {
    await cluster?.stop()
    assert.deepEqual(cluster.errors, [])
  })

  const annotated = (value: object | undefined) => ({
    metadata: { annotations: { [annotation]: value === undefined ? null : JSON.stringify(value) } },
  })
  const start = async () => {
    const ns = await makeNamespace(cluster.api, ['red', 'blue'])
    await run(cluster.api, ns, vm('a', [{ name: 'mon', nad: 'red' }]))
    return ns
  }
  /** The bridges that are copied to interfaces of the only guest of a namespace. */
  const mirrorsOf = async (ns: string): Promise<string> => {
    const { metadata } = await podOf(cluster.api, ns, 'a')
    const mirrors = cluster.sandboxes.mirrors(metadata.uid)
    return mirrors.map(({ nic, network, bridge }) => `${nic} ${network} ${bridge}`).join()
  }
  const becomes = (ns: string, wanted: string) =>
    eventually(`mirrors are ${wanted}`, async () => (await mirrorsOf(ns)) === wanted)
  const grant = async (name: string, kind: 'ClusterRole' | 'Role', role: string, ns: string) => {
    await cluster.api.create(`${rbac}/namespaces/${ns}/rolebindings`, {
      metadata: { name: `${name}-${role.replaceAll(':', '-')}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: role },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name }],
    })
  }

  it('begin, change and end with the annotation while the guest runs, and follow it to another sandbox', async () => {
    const ns = await start()
    const { metadata: before } = await podOf(cluster.api, ns, 'a')
    await cluster.api.patch(vmsPath(ns, 'a'), annotated({ mon: ['blue'] }))
    await becomes(ns, `mon ${ns}/blue br-blue`)
    await cluster.api.patch(vmsPath(ns, 'a'), annotated({ mon: ['blue', `${ns}/red`], default: ['red'] }))
    await becomes(ns, `mon ${ns}/blue br-blue,mon ${ns}/red br-red,default ${ns}/red br-red`)
    // Another bridge of the same network.
    await cluster.api.patch(nadsPath(ns, 'blue'), { spec: nad('blue', { bridge: 'br-other' }).spec })
    await becomes(ns, `mon ${ns}/blue br-other,mon ${ns}/red br-red,default ${ns}/red br-red`)
    await cluster.api.patch(vmsPath(ns, 'a'), annotated({ mon: ['red'] }))
    await becomes(ns, `mon ${ns}/red br-red`)
    const migrations = `/apis/kubevirt.io/v1/namespaces/${ns}/virtualmachineinstancemigrations`
    await cluster.api.create(migrations, { metadata: { name: 'm' }, spec: { vmiName: 'a' } })
    await cluster.api.until('it has moved', `${migrations}/m`, (one) => one.status?.phase === 'Succeeded')
    await eventually('the old pod is gone', async () => {
      const pod = await podOf(cluster.api, ns, 'a')
      return pod && pod.metadata.uid !== before.uid
    })
    await becomes(ns, `mon ${ns}/red br-red`)
    await cluster.api.patch(vmsPath(ns, 'a'), annotated(undefined))
    await becomes(ns, '')
    assert.equal(condition(await cluster.api.get(vmisPath(ns, 'a')), 'Synchronized'), undefined)
    assert.equal(condition(await cluster.api.get(vmsPath(ns, 'a')), 'RestartRequired'), undefined)
  })

  it('that cannot be made are told by a condition and an Event of the interface; the others are made', async () => {
    const ns = await start()
    await cluster.api.create(nadsPath(ns), nad('far', { type: 'ptp' }))
    await cluster.api.patch(vmsPath(ns, 'a'), annotated({ mon: ['blue', 'far'] }))
    const told = await cluster.api.until('told', vmisPath(ns, 'a'), (one) => condition(one, 'Synchronized'))
    const text = `interface "mon" does not get all copies: network ${ns}/far is made by "ptp"; only networks of the plugin "bridge" can be copied`
    assert.equal(condition(told, 'Synchronized').message, text)
    await becomes(ns, `mon ${ns}/blue br-blue`)
    const events = async () =>
      (await cluster.api.list(`/api/v1/namespaces/${ns}/events`)).filter(({ reason }) => reason === 'MirrorFailed')
    await eventually('the event', async () => (await events()).length > 0)
    assert.deepEqual(
      (await events()).map(({ message, type }) => [message, type]),
      [[text, 'Warning']],
    )
    await cluster.api.patch(nadsPath(ns, 'far'), { spec: nad('far').spec })
    await cluster.api.until('healed', vmisPath(ns, 'a'), (one) => !condition(one, 'Synchronized'))
    await becomes(ns, `mon ${ns}/blue br-blue,mon ${ns}/far br-far`)
  })

  it('are declared by who has the verb mirror on each network, and by no other on any way', async () => {
    const ns = await start()
    const other = await makeNamespace(cluster.api, ['secret'])
    await grant('eve', 'ClusterRole', 'admin', ns)
    const eve: Api = await cluster.as('eve', [])
    await eventually('eve may read', async () => (await eve.send('GET', vmsPath(ns))).code === 200)
    const merge = { type: 'application/merge-patch+json' }
    const refused = ({ code, json }: { code: number; json: Any }, ...networks: string[]) => {
      assert.equal(code, 403, JSON.stringify(json))
      for (const one of networks) assert.ok(json.message.includes(`${one} to interface "mon"`), json.message)
      assert.match(json.message, /that takes the verb "mirror" on each of these network-attachment-definitions/)
    }
    const wish = annotated({ mon: ['blue', `${other}/secret`] })
    const both = [`${ns}/blue`, `${other}/secret`] as const
    refused(await eve.send('PATCH', vmsPath(ns, 'a'), { body: wish, ...merge }), ...both)
    refused(await eve.send('PATCH', `${vmsPath(ns, 'a')}?dryRun=All`, { body: wish, ...merge }), ...both)
    refused(await eve.send('PATCH', vmisPath(ns, 'a'), { body: wish, ...merge }), ...both)
    const made = vm('b', [{ name: 'mon', nad: 'red' }], { runStrategy: 'Halted' })
    const whole = { ...made, metadata: { ...made.metadata, ...wish.metadata } }
    refused(await eve.send('POST', vmsPath(ns), { body: whole }), ...both)
    made.spec.template.metadata = wish.metadata
    refused(await eve.send('POST', vmsPath(ns), { body: made }), ...both)
    const { spec } = vm('c', [{ name: 'mon', nad: 'red' }]).spec.template
    const instance = {
      ...{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance' },
      metadata: { name: 'c', ...wish.metadata },
      spec,
    }
    refused(await eve.send('POST', vmisPath(ns), { body: instance }), ...both)
    const apply = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', ...annotated({ mon: ['blue'] }) }
    const applied = { body: apply, type: 'application/apply-patch+yaml' }
    refused(await eve.send('PATCH', `${vmsPath(ns, 'a')}?fieldManager=e`, applied), both[0])
    // What others have declared stays with the VM, whoever changes something else or ends it.
    await cluster.api.patch(vmsPath(ns, 'a'), wish)
    const kept = await eve.send('PATCH', vmsPath(ns, 'a'), { body: { metadata: { labels: { x: 'y' } } }, ...merge })
    assert.equal(kept.code, 200)
    const ended = await eve.send('PATCH', vmsPath(ns, 'a'), { body: annotated(undefined), ...merge })
    assert.equal(ended.code, 200)
    // The role gives it, where it is bound.
    await grant('eve', 'ClusterRole', 'patchbay.dev:mirror', ns)
    const own = annotated({ mon: ['blue'] })
    await eventually(
      'eve may',
      async () => (await eve.send('PATCH', vmsPath(ns, 'a'), { body: own, ...merge })).code === 200,
    )
    await becomes(ns, `mon ${ns}/blue br-blue`)
    refused(await eve.send('PATCH', vmsPath(ns, 'a'), { body: wish, ...merge }), both[1])
  })

  it('are declared and ended by a command', async () => {
    const ns = await start()
    const begun = await cli(cluster, `mirror a mon --from blue,${ns}/red -n ${ns}`)
    assert.deepEqual(
      [begun.code, begun.out],
      [0, `Interface mon of VM a gets a copy of all traffic of ${ns}/blue, ${ns}/red\n`],
    )
    await becomes(ns, `mon ${ns}/blue br-blue,mon ${ns}/red br-red`)
    const tried = await cli(cluster, `mirror a mon --off --dry-run -n ${ns}`)
    assert.deepEqual([tried.code, tried.out], [0, 'Interface mon of VM a gets no copies (dry run)\n'])
    const wrong = await cli(cluster, `mirror a eth9 --from blue -n ${ns}`)
    assert.match(wrong.err, /VM a has no interface eth9; it has: default, mon/)
    const ended = await cli(cluster, `mirror a mon --off -n ${ns}`)
    assert.deepEqual([ended.code, ended.out], [0, 'Interface mon of VM a gets no copies\n'])
    await becomes(ns, '')
  })
})
