import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, nadsPath, vmisPath, vmsPath } from './api.ts'
import { type Engine, type EngineWorld, startEngine } from './engine.ts'
import { nad } from './manifests.ts'

const failed = (detail: RegExp, [code, reason, text]: [number, string, string]) => {
  assert.deepEqual([code, reason], [400, 'Operation Failed'])
  assert.match(text, detail)
}

describe('the rules of oVirt’s engine', () => {
  let world: EngineWorld
  let engine: Engine
  before(async () => {
    world = await startEngine()
    engine = world.engine
    const { api } = world.cluster
    // The simulated host attaches nothing to a network whose configuration says so.
    await api.create(nadsPath('default'), nad('broken', { note: 'sim-fail' }))
    const { vnic_profile } = await engine.get('vnicprofiles')
    broken = vnic_profile.find(({ name }: Any) => name === 'broken').id
  })
  after(() => world?.stop())

  let broken: string
  const at = (nic = world.nic1, vm = world.vm1) => `vms/${vm}/nics/${nic}`
  const nics = () => `vms/${world.vm1}/nics`
  const profile = (id: string | undefined) => `<vnic_profile id="${id}"/>`
  const newest = async (count: number) => (await engine.events()).slice(0, count)
  const vmi = () => world.cluster.api.get(vmisPath('default', 'vm1'))
  const template = async () => (await world.cluster.api.get(vmsPath('default', 'vm1'))).spec.template

  it('F5: a card of a VM that is down is added with what it does not say taken for granted', async () => {
    const made = await engine.post(`vms/${world.vm2}/nics`, '<nic><name>plain</name></nic>')
    const { interface: type, linked, plugged, mac, vnic_profile } = made
    assert.deepEqual([type, linked, plugged, vnic_profile], ['virtio', 'true', 'true', undefined])
    assert.match(mac.address, /^02:70:62(:[0-9a-f]{2}){3}$/)
    assert.deepEqual(await newest(1), [['932', 'Interface plain (VirtIO) was added to VM vm2. (User: admin@internal)']])
    await engine.remove(at(made.id, world.vm2))
  })

  it('F13, F16: network and link change in one request, and a card that is unlinked keeps its network', async () => {
    const put = await engine.put(at(), `<nic><linked>false</linked>${profile(world.profiles.red)}</nic>`)
    assert.deepEqual([put.linked, put.vnic_profile.id, put.synced], ['false', world.profiles.red, 'true'])
    assert.equal((await world.inGuest('nic1')).linkState, 'down')
    assert.equal(
      (await newest(1))[0]?.[1],
      'Interface nic1 (VirtIO) was updated for VM vm1. Link State is DOWN. (User: admin@internal)',
    )
    assert.equal((await engine.get(at())).vnic_profile.id, world.profiles.red)
    await engine.put(at(), `<nic><linked>true</linked>${profile(world.profiles.blue)}</nic>`)
  })

  it('F21: a card is unplugged with the address it has, and kept with the one it was given in the same request', async () => {
    const { id, mac } = await engine.post(nics(), `<nic><name>swap</name>${profile(world.profiles.red)}</nic>`)
    const put = await engine.put(
      at(id),
      '<nic><plugged>false</plugged><mac><address>02:00:00:00:21:21</address></mac></nic>',
    )
    assert.deepEqual([put.plugged, put.mac.address], ['false', '02:00:00:00:21:21'])
    assert.equal(await world.inGuest('swap'), undefined)
    assert.notEqual(mac.address, put.mac.address)
    await engine.put(at(id), '<nic><plugged>true</plugged></nic>')
    assert.equal((await world.inGuest('swap')).mac, '02:00:00:00:21:21')
    await engine.post(`${at(id)}/deactivate`)
    await engine.remove(at(id))
  })

  it('F24: interfaces of a VM that is neither up nor down stay as they are', async () => {
    const pause = '/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/vm1'
    await world.cluster.api.send('PUT', `${pause}/pause`)
    assert.equal((await engine.get(`vms/${world.vm1}`)).status, 'paused')
    const text = (action: string) => [
      409,
      'Operation Failed',
      `[Cannot ${action} a Network Interface when VM is not Down, Up or Image-Locked.]`,
    ]
    assert.deepEqual(await engine.refused('PUT', at(), { linked: 'false' }), text('edit'))
    assert.deepEqual(await engine.refused('POST', nics(), { name: 'x' }), text('add'))
    assert.equal((await engine.refused('POST', `${at()}/deactivate`, '<action/>'))[0], 409)
    await world.cluster.api.send('PUT', `${pause}/unpause`)
    assert.equal((await engine.put(at(), { linked: 'true' })).linked, 'true')
  })

  it('F27: a guest without a free port gets no more cards', async () => {
    const made: string[] = []
    const { free } = (await vmi()).status.pciPorts
    for (let i = 0; i < free; i++)
      made.push((await engine.post(nics(), `<nic><name>p${i}</name>${profile(world.profiles.red)}</nic>`)).id)
    await eventually('no port is free', async () => (await vmi()).status.pciPorts.free === 0)
    assert.deepEqual(await engine.refused('POST', nics(), { name: 'one-more' }), [
      409,
      'Operation Failed',
      '[Cannot add Interface. Maximum PCI devices exceeded.]',
    ])
    const parked = await engine.post(nics(), { name: 'one-more', plugged: 'false' })
    for (const id of made) await engine.post(`${at(id)}/deactivate`)
    for (const id of [...made, parked.id]) await engine.remove(at(id))
  })

  it('F28: a network has to be in the cluster of the VM; none is everywhere', async () => {
    const { api } = world.cluster
    const clusters = JSON.stringify({ Default: { networks: ['blue', 'pod'] } })
    await api.create('/api/v1/namespaces/default/configmaps', {
      metadata: { name: 'patchbay-ovirt' },
      data: { clusters },
    })
    const missing = [409, 'Operation Failed', "[The specified Logical Network doesn't exist in the current Cluster.]"]
    assert.deepEqual(await engine.refused('PUT', at(), `<nic>${profile(world.profiles.red)}</nic>`), missing)
    assert.deepEqual(
      await engine.refused('POST', nics(), `<nic><name>x</name>${profile(world.profiles.red)}</nic>`),
      missing,
    )
    const { network } = await engine.get(`clusters/${(await engine.get('clusters')).cluster[0].id}/networks`)
    assert.deepEqual(
      network.map(({ name }: Any) => name),
      ['blue', 'pod'],
    )
    await engine.put(at(), '<nic><vnic_profile/></nic>')
    await engine.put(at(), `<nic>${profile(world.profiles.blue)}</nic>`)
    await api.delete('/api/v1/namespaces/default/configmaps/patchbay-ovirt')
  })

  it('F29: a profile that mirrors copies its network to the card, and a card that mirrors is not edited while its guest runs', async () => {
    const { network } = await engine.get('networks?search=name%3Dred')
    const ears = await engine.post('vnicprofiles', {
      name: 'ears',
      port_mirroring: 'true',
      network: { id: network[0].id },
    })
    assert.equal(ears.port_mirroring, 'true')
    const { id } = await engine.post(nics(), `<nic><name>listens</name>${profile(ears.id)}</nic>`)
    const mirror = async () => {
      const { annotations } = (await world.cluster.api.get(vmsPath('default', 'vm1'))).metadata
      return annotations['patchbay.dev/mirror']
    }
    assert.equal(await mirror(), '{"listens":["red"]}')
    const refused = [
      409,
      'Operation Failed',
      "[Cannot edit Interface. Update is not possible when 'Port Mirroring' is set on the interface of a running virtual machine.]",
    ]
    assert.deepEqual(await engine.refused('PUT', at(id), { linked: 'false' }), refused)
    assert.deepEqual(await engine.refused('PUT', at(id), `<nic>${profile(world.profiles.blue)}</nic>`), refused)
    assert.deepEqual(await engine.refused('PUT', at(), `<nic>${profile(ears.id)}</nic>`), refused)
    // Where the cluster says so, it is.
    const { api } = world.cluster
    const clusters = JSON.stringify({ Default: { liveMirroring: true } })
    await api.create('/api/v1/namespaces/default/configmaps', {
      metadata: { name: 'patchbay-ovirt' },
      data: { clusters },
    })
    assert.equal((await engine.put(at(id), { linked: 'false' })).linked, 'false')
    await engine.put(at(id), `<nic>${profile(world.profiles.blue)}</nic>`)
    assert.equal(await mirror(), undefined)
    await api.delete('/api/v1/namespaces/default/configmaps/patchbay-ovirt')
    await engine.post(`${at(id)}/deactivate`)
    // What another door declared of a card stays.
    const annotations = { 'patchbay.dev/mirror': '{"nic1":["red"]}' }
    await api.patch(vmsPath('default', 'vm1'), { metadata: { annotations } })
    await engine.put(at(), { linked: 'false' })
    await engine.put(at(), { linked: 'true' })
    assert.equal(await mirror(), '{"nic1":["red"]}')
    await api.patch(vmsPath('default', 'vm1'), { metadata: { annotations: { 'patchbay.dev/mirror': null } } })
    await engine.remove(at(id))
    await engine.remove(`vnicprofiles/${ears.id}`)
  })

  it('a profile that mirrors is given by who may mirror its network', async () => {
    const { api } = world.cluster
    const made = await engine.post('vnicprofiles', {
      ...{ name: 'ears', port_mirroring: 'true' },
      network: { id: (await engine.get('networks?search=name%3Dred')).network[0].id },
    })
    await api.create('/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings', {
      metadata: { name: 'viewer-edits' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'viewer' }],
    })
    const added = await world.viewer.post(
      `vms/${world.vm2}/nics`,
      `<nic><name>plain</name>${profile(world.profiles.red)}</nic>`,
    )
    const [code, , detail] = await world.viewer.refused(
      'POST',
      `vms/${world.vm2}/nics`,
      `<nic><name>ears</name>${profile(made.id)}</nic>`,
    )
    assert.equal(code, 403)
    assert.match(
      detail,
      /cannot copy the traffic of default\/red to interface "ears"|User is not authorized to perform this action/,
    )
    await engine.remove(at(added.id, world.vm2))
    await engine.remove(`vnicprofiles/${made.id}`)
    await api.delete('/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/viewer-edits')
  })

  it('F34: an update that the host cannot make is taken back, and said so', async () => {
    const before = await template()
    failed(
      /^\[Failed to update VM Network Interface\., interface "nic1" .*CNI plugin of network default\/broken failed/,
      await engine.refused('PUT', at(), `<nic>${profile(broken)}</nic>`),
    )
    assert.deepEqual(await template(), before)
    assert.deepEqual(await newest(1), [
      ['935', 'Failed to update Interface nic1 (VirtIO) for VM vm1. (User: admin@internal)'],
    ])
    const [{ status, description }] = (await engine.get('jobs?max=1')).job
    assert.deepEqual([status, description], ['failed', 'Updating Network Interface nic1 properties for VM vm1'])
    await eventually('nothing is wrong any more', async () => (await engine.get(at())).synced === 'true')
    assert.equal((await engine.put(at(), { linked: 'false' })).linked, 'false')
    await engine.put(at(), { linked: 'true' })
  })

  it('F36: a copy that the host cannot make takes the whole change back', async () => {
    const { api } = world.cluster
    // The traffic of what is no bridge cannot be copied.
    await api.create(nadsPath('default'), nad('odd', { type: 'ptp' }))
    const { network } = await engine.get('networks?search=name%3Dodd')
    const made = await engine.post('vnicprofiles', {
      name: 'deaf',
      port_mirroring: 'true',
      network: { id: network[0].id },
    })
    const { spec } = await template()
    failed(
      /^\[Failed to activate VM Network Interface\., interface "ears" does not get all copies: .*only networks of the plugin "bridge" can be copied/,
      await engine.refused('POST', nics(), `<nic><name>ears</name>${profile(made.id)}</nic>`),
    )
    const now = await eventually('it is taken back', async () => {
      const vm = await world.cluster.api.get(vmsPath('default', 'vm1'))
      return vm.metadata.annotations['patchbay.dev/mirror'] === undefined && vm
    })
    assert.deepEqual(now.spec.template.spec, spec)
    await engine.remove(`vnicprofiles/${made.id}`)
  })

  it('F35: a plug that the host cannot make leaves no card, and says so', async () => {
    const before = await template()
    failed(
      /^\[Failed to activate VM Network Interface\., interface "late" cannot be plugged: /,
      await engine.refused('POST', nics(), `<nic><name>late</name>${profile(broken)}</nic>`),
    )
    assert.deepEqual(await newest(2), [
      ['933', 'Failed to add Interface late (VirtIO) to VM vm1. (User: admin@internal)'],
      ['1013', 'Failed to plug Network Interface late (VirtIO) to VM vm1. (User: admin@internal)'],
    ])
    await eventually(
      'nothing is left of it',
      async () => (await vmi()).spec.domain.devices.interfaces.length === before.spec.domain.devices.interfaces.length,
    )
    assert.deepEqual(await template(), before)
    // One that is parked on such a network is not plugged, and stays as it was.
    const parked = await engine.post(nics(), `<nic><name>parked</name><plugged>false</plugged>${profile(broken)}</nic>`)
    failed(
      /^\[Failed to activate VM Network Interface\./,
      await engine.refused('POST', `${at(parked.id)}/activate`, '<action/>'),
    )
    assert.equal((await engine.get(at(parked.id))).plugged, 'false')
    await engine.remove(at(parked.id))
  })

  it('a VM is refused what it cannot be, and what is asked for twice', async () => {
    const vm = `vms/${world.vm1}`
    const refused = async (method: string, path: string, body?: string | object) =>
      (await engine.refused(method, path, body)).slice(0, 3)
    assert.deepEqual(await refused('POST', `${vm}/start`, '<action/>'), [
      409,
      'Operation Failed',
      '[Cannot run VM. VM is running.]',
    ])
    assert.deepEqual(await refused('POST', `vms/${world.vm2}/stop`, '<action/>'), [
      409,
      'Operation Failed',
      '[Cannot stop VM. VM is not running.]',
    ])
    assert.deepEqual(await refused('DELETE', vm), [409, 'Operation Failed', '[Cannot remove VM. VM is running.]'])
    assert.deepEqual(await refused('POST', `${vm}/suspend`, '<action/>'), [
      400,
      'The input is unsupported.',
      'Suspending a VM is not supported.',
    ])
    assert.equal((await refused('POST', `${vm}/ticket`, '<action/>'))[0], 409)
    assert.equal((await refused('PUT', vm, { name: 'other' }))[0], 400)
    assert.equal((await refused('PUT', vm, { memory: 'much' }))[0], 400)
    assert.deepEqual(await refused('POST', 'vms', '<vm/>'), [
      400,
      'Incomplete parameters',
      'Vm [name, cluster.id|name, template.id|name] required for add',
    ])
    const unknown = { name: 'x', cluster: { name: 'Nowhere' }, template: { name: 'Blank' } }
    assert.deepEqual(await refused('POST', 'vms', unknown), [
      404,
      'Operation Failed',
      'Entity not found: Cluster: name=Nowhere',
    ])
    assert.equal(
      (await refused('POST', 'vms', { name: 'vm1', cluster: { name: 'Default' }, template: { name: 'Blank' } }))[0],
      409,
    )
    assert.equal(
      (
        await refused('POST', 'vms', { name: 'Not A Name', cluster: { name: 'Default' }, template: { name: 'Blank' } })
      )[0],
      400,
    )
  })

  it('meets no bug of the server', () => assert.deepEqual(world.cluster.errors, []))
})
