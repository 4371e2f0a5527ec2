import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { Kubectl, noKubectl } from './kubectl.ts'
import { condition, linkStates, makeNamespace, run, running, statePatch, vm } from './manifests.ts'
import { claim, claimsPath, withVolumes } from './volumes.ts'

const group = '/apis/instancetype.kubevirt.io/v1beta1'

describe('an instance type', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api)
  })
  after(() => cluster?.stop())

  const own = (plural: string, name = '') => `${group}/namespaces/${ns}/${plural}${name && `/${name}`}`
  const named = (name: string, over: Any): Any => {
    const made = vm(name, [], over)
    delete made.spec.template.spec.domain.memory
    return made
  }
  const make = (name: string, guest: number) =>
    cluster.api.create(own('virtualmachineinstancetypes'), {
      metadata: { name },
      spec: { cpu: { guest }, memory: { guest: '64Mi' } },
    })
  const mine = (name: string) => ({ instancetype: { kind: 'VirtualMachineInstancetype', name } })
  const subresource = (name: string, verb: string) =>
    `/apis/subresources.kubevirt.io/v1/namespaces/${ns}/virtualmachines/${name}/${verb}`

  it('of every installation gives a guest its CPUs and memory, and a preference its hardware', async () => {
    const preference = { name: 'windows.2k22' }
    const vmi = await run(cluster.api, ns, named('sized', { instancetype: { name: 'u1.large' }, preference }))
    const { cpu, memory, devices, clock } = vmi.spec.domain
    assert.deepEqual([cpu.sockets, cpu.cores, memory.guest], [2, 1, '8Gi'])
    assert.deepEqual([devices.interfaces[0].model, clock.timer.hpet.present], ['e1000e', false])
    assert.equal(vmi.metadata.annotations['kubevirt.io/cluster-instancetype-name'], 'u1.large')
    const { spec, status } = await cluster.api.get(vmsPath(ns, 'sized'))
    assert.equal(spec.instancetype.kind, 'virtualmachineclusterinstancetype')
    assert.equal(spec.template.spec.domain.cpu, undefined)
    assert.equal(condition({ status }, 'RestartRequired'), undefined)
  })

  it('with what is not carried out is named by a warning and the condition', async () => {
    const { code, headers } = await cluster.api.send('POST', vmsPath(ns), {
      body: named('exclusive', { runStrategy: 'Halted', instancetype: { name: 'cx1.medium' } }),
    })
    assert.equal(code, 201)
    const field = 'spec.template.spec.domain.cpu.dedicatedCpuPlacement'
    assert.ok(String(headers.warning).includes(`${field} is kept and not carried out: CPUs are shared`))
    await cluster.api.until('the condition names it', vmsPath(ns, 'exclusive'), (one) =>
      condition(one, 'NotCarriedOut')?.message.includes(field),
    )
  })

  it('is expanded by expand-spec', async () => {
    const { code, json } = await cluster.api.send('GET', subresource('sized', 'expand-spec'))
    assert.equal(code, 200)
    assert.deepEqual([json.spec.instancetype, json.spec.preference], [undefined, undefined])
    assert.equal(json.spec.template.spec.domain.memory.guest, '8Gi')
    const { code: none } = await cluster.api.send('GET', subresource('none', 'expand-spec'))
    assert.equal(none, 404)
  })

  it('that does not exist, or contradicts the template, is refused', async () => {
    const rows: readonly [Any, field: string, message: RegExp][] = [
      [
        named('lost', { instancetype: { name: 'x9.huge' } }),
        'spec.instancetype',
        /^Failure to find instancetype: virtualmachineclusterinstancetypes.instancetype.kubevirt.io "x9.huge" not found$/,
      ],
      [
        vm('twice', [], { instancetype: { name: 'u1.small' } }),
        'spec.template.spec.domain.memory',
        /^VM field\(s\) spec.template.spec.domain.memory conflicts with selected instance type$/,
      ],
      [
        named('poor', { instancetype: { name: 'u1.nano' }, preference: { name: 'fedora' } }),
        'spec.instancetype',
        /insufficient Memory resources of 512Mi provided by instance type, preference requires 1Gi$/,
      ],
    ]
    for (const [body, field, message] of rows) {
      const { code, json } = await cluster.api.send('POST', vmsPath(ns), { body })
      assert.equal(code, 422)
      assert.equal(json.details.causes.length, 1)
      assert.equal(json.details.causes[0].field, field)
      assert.match(json.details.causes[0].message, message)
    }
  })

  it('is inferred from the disk of a volume, which its user may get', async () => {
    const { api } = cluster
    const labels = { 'instancetype.kubevirt.io/default-instancetype': 'u1.large' }
    const golden = claim('golden')
    await api.create(claimsPath(ns), { ...golden, metadata: { ...golden.metadata, labels } })
    const spec = { source: { pvc: { namespace: ns, name: 'golden' } }, storage: {} }
    const inferring = (name: string, where: string, more: Any = {}) => {
      const dataVolumeTemplates = [{ metadata: { name: `${name}-root` }, spec }]
      const matcher = { inferFromVolume: 'root', ...more }
      const made = named(name, { runStrategy: 'Halted', instancetype: matcher, dataVolumeTemplates })
      made.metadata.namespace = where
      return withVolumes(made, { name: 'root', dataVolume: { name: `${name}-root` } })
    }
    const made = await api.create(vmsPath(ns), inferring('inferred', ns))
    const kind = 'virtualmachineclusterinstancetype'
    assert.deepEqual(made.spec.instancetype, { name: 'u1.large', kind })
    const preference = { preference: { inferFromVolume: 'root' } }
    const bare = { ...inferring('bare', ns), spec: { ...inferring('bare', ns).spec, ...preference } }
    const refused = await api.send('POST', vmsPath(ns), { body: bare })
    assert.equal(refused.code, 422)
    assert.match(
      refused.json.message,
      /has no label instancetype.kubevirt.io\/default-preference; set it, or spec.pref/,
    )
    // Who may not get the claim learns nothing of its labels.
    const theirs = await makeNamespace(api)
    await api.create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${theirs}/rolebindings`, {
      metadata: { name: 'jane' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'admin' },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'jane' }],
    })
    const jane = await cluster.as('jane', [])
    const { code, text } = await eventually('she may make VMs', async () => {
      const answer = await jane.send('POST', vmsPath(theirs), { body: inferring('theft', theirs) })
      return answer.code !== 403 && answer
    })
    assert.equal(code, 422)
    assert.doesNotMatch(text, /u1\.large/)
  })

  it('that changes, or another one, requires a restart', async () => {
    await make('one', 1)
    await run(cluster.api, ns, named('resized', mine('one')))
    await cluster.api.patch(own('virtualmachineinstancetypes', 'one'), { spec: { cpu: { guest: 3 } } })
    const needs = (is: boolean) => (one: Any) => (condition(one, 'RestartRequired')?.status === 'True') === is
    await cluster.api.until('a restart is required', vmsPath(ns, 'resized'), needs(true))
    await cluster.api.patch(own('virtualmachineinstancetypes', 'one'), { spec: { cpu: { guest: 1 } } })
    await cluster.api.until('none is', vmsPath(ns, 'resized'), needs(false))
    await make('two', 2)
    await cluster.api.patch(vmsPath(ns, 'resized'), { spec: { instancetype: { name: 'two' } } })
    await cluster.api.until('one is again', vmsPath(ns, 'resized'), needs(true))
    assert.equal((await cluster.api.send('PUT', subresource('resized', 'restart'), { body: {} })).code, 202)
    await cluster.api.until(
      'it has two CPUs',
      vmisPath(ns, 'resized'),
      (one) => one?.status?.phase === 'Running' && one.spec.domain.cpu.sockets === 2,
    )
  })

  it('that is gone keeps no VM from being changed and stopped', async () => {
    await make('fleeting', 2)
    const preference = { kind: 'VirtualMachinePreference', name: 'e1000' }
    await cluster.api.create(own('virtualmachinepreferences'), {
      metadata: { name: 'e1000' },
      spec: { devices: { preferredInterfaceModel: 'e1000' } },
    })
    await run(cluster.api, ns, named('left', { ...mine('fleeting'), preference }))
    await cluster.api.delete(own('virtualmachineinstancetypes', 'fleeting'))
    await cluster.api.delete(own('virtualmachinepreferences', 'e1000'))
    await cluster.api.patch(vmsPath(ns, 'left'), statePatch(['down']))
    await cluster.api.until('the link is down', vmisPath(ns, 'left'), (one) =>
      linkStates(one)?.includes('default down'),
    )
    const { status } = await cluster.api.get(vmsPath(ns, 'left'))
    assert.equal(condition({ status }, 'RestartRequired'), undefined)
    assert.equal((await cluster.api.send('PUT', subresource('left', 'stop'), { body: {} })).code, 202)
    await cluster.api.until('it is gone', vmisPath(ns, 'left'), (one) => !one)
  })

  it('that is gone keeps a VM from starting, until it is there again', async () => {
    await make('gone', 1)
    await cluster.api.create(vmsPath(ns), named('late', { runStrategy: 'Halted', ...mine('gone') }))
    await cluster.api.delete(own('virtualmachineinstancetypes', 'gone'))
    await cluster.api.patch(vmsPath(ns, 'late'), { spec: { runStrategy: 'Always' } })
    await cluster.api.until('the VM says why', vmsPath(ns, 'late'), (one) =>
      /Failure to find instancetype: virtualmachineinstancetypes.instancetype.kubevirt.io "gone" not found/.test(
        condition(one, 'Failure')?.message,
      ),
    )
    await make('gone', 1)
    await running(cluster.api, ns, 'late')
  })

  it('is read by every user, and written by those who may', async () => {
    const jane = await cluster.as('jane', [])
    const listed = await jane.list(`${group}/virtualmachineclusterinstancetypes`)
    assert.ok(listed.some(({ metadata }) => metadata.name === 'u1.medium'))
    assert.equal((await jane.send('GET', own('virtualmachineinstancetypes'))).code, 403)
    await cluster.api.create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/rolebindings`, {
      metadata: { name: 'jane' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'jane' }],
    })
    await cluster.api.until('jane is an editor', own('virtualmachineinstancetypes'), async () => {
      const { code } = await jane.send('GET', own('virtualmachineinstancetypes'))
      return code === 200
    })
    const body = { metadata: { name: 'janes' }, spec: { cpu: { guest: 1 }, memory: { guest: '64Mi' } } }
    assert.equal((await jane.send('POST', own('virtualmachineinstancetypes'), { body })).code, 201)
    assert.equal((await jane.send('POST', `${group}/virtualmachineclusterinstancetypes`, { body })).code, 403)
    assert.deepEqual(cluster.errors, [])
  })

  it('is found by the short names of KubeVirt', { skip: noKubectl }, async () => {
    const k = new Kubectl(cluster.dir, ns)
    assert.match(await k.ok('get vmcf u1.large'), /^NAME +CPU +MEMORY +AGE\nu1.large +2 +8Gi/)
    for (const short of ['vmf', 'vmp', 'vmcp', 'vminstancetype', 'vmclusterinstancetypes', 'vmpref'])
      await k.ok(`get ${short}`)
    assert.match(await k.ok('explain vmcp.spec.devices'), /preferredDiskBus/)
  })
})
