import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, vmsPath } from './api.ts'
import { type EngineWorld, startEngine } from './engine.ts'
import { update, Vdsm } from './vdsm.ts'

describe('port mirroring through vdsm’s API', () => {
  let world: EngineWorld
  let vdsm: Vdsm
  before(async () => {
    world = await startEngine({ vdsm: true })
    vdsm = await Vdsm.connect(world.cluster.vdsmPort, world.cluster.keys)
  })
  after(async () => {
    vdsm?.[Symbol.dispose]()
    await world?.stop()
  })

  const at = (nic: string) => `vms/${world.vm1}/nics/${nic}`
  const updateNic1 = (more: object) =>
    vdsm.call('VM.updateDevice', { vmID: world.vm1, params: update({ alias: 'ua-nic1', ...more }) })
  const refusedUpdate = (params: object) => vdsm.refused('VM.updateDevice', { vmID: world.vm1, params })

  it('T44: networks are mirrored to a card and no more, while it stays plugged', async () => {
    const mirrored = async () => {
      const { items } = await world.cluster.api.get('/api/v1/namespaces/default/pods')
      const { uid } = items.find((one: Any) => one.metadata.labels['vm.kubevirt.io/name'] === 'vm1').metadata
      return world.cluster.sandboxes.mirrors(uid).map(({ nic, network }) => `${nic} ${network}`)
    }
    const become = (...wanted: readonly string[]) =>
      eventually(`${wanted} are mirrored`, async () => `${await mirrored()}` === `${wanted}`)
    const listed = async () => {
      const [{ devices }] = await vdsm.call('Host.getVMFullList', { vmList: [world.vm1] })
      return devices.find((one: Any) => one.name === 'nic1').portMirroring
    }
    const { mac } = await world.inGuest('nic1')
    await updateNic1({ portMirroring: ['blue', 'default/red'] })
    await become('nic1 default/blue', 'nic1 default/red')
    await updateNic1({ linkActive: true })
    assert.deepEqual(await listed(), ['default/blue', 'default/red'])
    await updateNic1({ portMirroring: 'red' })
    await become('nic1 default/red')
    await updateNic1({ portMirroring: [] })
    await become()
    assert.equal((await world.inGuest('nic1')).mac, mac)
    const plug = { vmID: world.vm1, params: { nic: { alias: 'ua-ear', network: 'red', portMirroring: ['blue'] } } }
    await vdsm.call('VM.hotplugNic', plug)
    await become('ear default/blue')
    await vdsm.call('VM.hotunplugNic', { vmID: world.vm1, params: { nic: { alias: 'ua-ear' } } })
    await vdsm.call('VM.hotplugNic', { vmID: world.vm1, params: { nic: { alias: 'ua-ear' } } })
    await become()
    const { networks } = (await world.cluster.api.get(vmsPath('default', 'vm1'))).spec.template.spec
    assert.equal(networks.find((one: Any) => one.name === 'ear').multus.networkName, 'red')
    assert.equal((await world.inGuest('ear')).linkState, 'up')
    await vdsm.call('VM.hotunplugNic', { vmID: world.vm1, params: { nic: { alias: 'ua-ear' } } })
    const { nic } = await world.engine.get(`vms/${world.vm1}/nics`)
    await world.engine.remove(at(nic.find((one: Any) => one.name === 'ear').id))
  })

  it('what a profile mirrors to a card is so over unplugging', async () => {
    const { network } = await world.engine.get('networks?search=name%3Dred')
    const profile = { name: 'ears', port_mirroring: 'true', network: { id: network[0].id } }
    const ears = await world.engine.post('vnicprofiles', profile)
    const card = await world.engine.post(`vms/${world.vm1}/nics`, { name: 'listens', vnic_profile: { id: ears.id } })
    await vdsm.call('VM.hotunplugNic', { vmID: world.vm1, params: { nic: { alias: 'ua-listens' } } })
    const { annotations } = (await world.cluster.api.get(vmsPath('default', 'vm1'))).metadata
    assert.equal(annotations['patchbay.dev/mirror'], '{"listens":["red"]}')
    await world.engine.remove(at(card.id))
    await world.engine.remove(`vnicprofiles/${ears.id}`)
  })

  it('what cannot be mirrored is refused, and so is who may not mirror it', async () => {
    const alias = 'ua-nic1'
    assert.deepEqual(await refusedUpdate(update({ alias, portMirroring: ['green'] })), [
      56,
      'Failed to update device: the NetworkAttachmentDefinition default/green does not exist or has no config that can be read',
    ])
    assert.equal((await refusedUpdate(update({ alias, portMirroring: ['pod'] })))[0], 56)
    await world.cluster.api.create('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'editor' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'editor' }],
    })
    using editor = await Vdsm.as(world.cluster, 'editor')
    const params = { vmID: world.vm1, params: update({ alias, portMirroring: ['blue'] }) }
    assert.equal((await editor.refused('VM.updateDevice', params))[0], 56)
    assert.deepEqual(
      await editor.call('VM.updateDevice', { ...params, params: update({ alias, portMirroring: [] }) }),
      {},
    )
    const [{ devices }] = await vdsm.call('Host.getVMFullList', { vmList: [world.vm1] })
    assert.deepEqual(devices.find((one: Any) => one.name === 'nic1').portMirroring, [])
  })

  it('nothing of all that was a bug', () => assert.deepEqual(world.cluster.errors, []))
})
