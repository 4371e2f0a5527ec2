import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { createAuthority, issue } from '#machinery/rest/certificates.ts'
import { type Any, vmsPath } from './api.ts'
import { type EngineWorld, startEngine } from './engine.ts'
import { update, Vdsm } from './vdsm.ts'

describe('cards through vdsm’s API', () => {
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

  const at = (nic = world.nic1) => `vms/${world.vm1}/nics/${nic}`
  const declared = async (name: string, vm = 'vm1') => {
    const { spec } = (await world.cluster.api.get(vmsPath('default', vm))).spec.template
    const { state } = spec.domain.devices.interfaces.find((one: Any) => one.name === name) ?? {}
    return [state, spec.networks.find((one: Any) => one.name === name)?.multus?.networkName]
  }
  const updateNic1 = (more: object) =>
    vdsm.call('VM.updateDevice', { vmID: world.vm1, params: update({ alias: 'ua-nic1', ...more }) })
  const refusedUpdate = (params: object, vmID = world.vm1) => vdsm.refused('VM.updateDevice', { vmID, params })
  const newest = async () => (await world.engine.events())[0]

  it('T43: updateDevice takes a link down and up, and oVirt’s API and its audit log say so', async () => {
    const { mac } = await world.inGuest('nic1')
    const flow = { ovirtCorrelationId: 'flow\\c7' }
    const params = { vmID: world.vm1, params: update({ alias: 'ua-nic1', linkActive: false }) }
    assert.deepEqual(await vdsm.call('VM.updateDevice', params, flow), {})
    const down = await world.inGuest('nic1')
    assert.deepEqual([down.linkState, down.mac], ['down', mac])
    assert.equal((await world.engine.get(at())).linked, 'false')
    const { event } = await world.engine.get('events')
    assert.deepEqual([event[0].code, event[0].correlation_id], ['934', 'flow:7'])
    assert.match(event[0].description, /^Interface nic1 .* Link State is DOWN\. \(User: .+@internal\)$/)
    assert.deepEqual(await updateNic1({ linkActive: 'True' }), {})
    assert.equal((await world.inGuest('nic1')).linkState, 'up')
    assert.equal((await world.engine.get(at())).linked, 'true')
  })

  it('T43: who has no certificate of our authority does not get in', async () => {
    const { ca } = world.cluster.keys
    const other = await createAuthority('other')
    const foreign = await issue(other, { use: 'client', name: 'admin', groups: ['system:masters'] })
    for (const keys of [{ ca }, { ca, cert: foreign.cert, key: foreign.key }]) {
      using stranger = await Vdsm.open(world.cluster.vdsmPort, keys)
      stranger.write('CONNECT', { 'accept-version': '1.2' })
      await stranger.ended()
      assert.equal(stranger.text, '')
    }
  })

  it('updateDevice keeps what is left out, moves a card, and takes it off every network', async () => {
    assert.deepEqual(await updateNic1({ network: 'red' }), {})
    assert.deepEqual(await declared('nic1'), [undefined, 'red'])
    await updateNic1({ network: 'default/blue', linkActive: 'false', portMirroring: [] })
    assert.deepEqual(await declared('nic1'), ['down', 'blue'])
    await updateNic1({})
    assert.deepEqual(await declared('nic1'), ['down', 'blue'])
    await updateNic1({ linkActive: true })
    // No network is a link that is down, whatever is said about it.
    await updateNic1({ network: '', linkActive: true })
    assert.equal((await declared('nic1'))[1], 'patchbay-none')
    assert.equal((await world.inGuest('nic1')).linkState, 'down')
    assert.equal((await world.engine.get(at())).vnic_profile, undefined)
    await updateNic1({ network: 'blue' })
    assert.equal((await declared('nic1'))[1], 'blue')
    assert.equal((await world.inGuest('nic1')).linkState, 'up')
  })

  it('a card is found by its alias, by its place and by the engine’s id; the feature page’s spelling is taken', async () => {
    const { nic } = await world.engine.get(`vms/${world.vm1}/nics`)
    const place = nic.findIndex((one: Any) => one.name === 'nic1')
    for (const alias of [`net${place}`, `ua-${world.nic1}`]) {
      const params = { devicType: 'interface', alias, linkActive: false }
      await vdsm.call('VM.updateDevice', { vmID: world.vm1, params })
      assert.equal((await world.inGuest('nic1')).linkState, 'down', alias)
      await updateNic1({ linkActive: true })
    }
  })

  it('updateDevice takes the engine’s XML', async () => {
    const xml = (network: string, link: string) =>
      `<?xml version="1.0"?><hotplug><devices><interface type="bridge"><model type="virtio"/><link state="${link}"/>` +
      `<source bridge="${network}"/><alias name="ua-nic1"/><mtu size="1500"/></interface></devices><metadata>` +
      '<ovirt-vm:vm xmlns:ovirt-vm="http://ovirt.org/vm/1.0"><ovirt-vm:device alias="ua-nic1">' +
      '<ovirt-vm:portMirroring></ovirt-vm:portMirroring></ovirt-vm:device></ovirt-vm:vm></metadata></hotplug>'
    const send = (text: string) => vdsm.call('VM.updateDevice', { vmID: world.vm1, params: update({ xml: text }) })
    await send(xml('red', 'down'))
    assert.deepEqual(await declared('nic1'), ['down', 'red'])
    await send(xml(';vdsmdummy;', 'down'))
    assert.equal((await declared('nic1'))[1], 'patchbay-none')
    await send(xml('blue', 'up'))
    assert.deepEqual(await world.inGuest('nic1').then(({ linkState }) => linkState), 'up')
    assert.deepEqual((await refusedUpdate(update({ xml: '<hotplug>' })))[0], -32602)
    assert.deepEqual((await refusedUpdate(update({ xml: '<!DOCTYPE a><hotplug/>' })))[0], -32602)
    assert.deepEqual((await refusedUpdate(update({ xml: '<hotplug/>' })))[0], -32602)
  })

  it('T43: updateDevice is refused in vdsm’s codes and words, with the reason', async () => {
    const alias = 'ua-nic1'
    assert.deepEqual(await refusedUpdate(update({ alias: 'ua-other', linkActive: false })), [
      56,
      'Failed to update device: there is no card with the alias ua-other',
    ])
    assert.deepEqual(await refusedUpdate(update({ alias: 'net9' })), [
      56,
      'Failed to update device: there is no card with the alias net9',
    ])
    assert.deepEqual(await refusedUpdate(update({ alias, network: 'green' })), [
      56,
      'Failed to update device: there is no network green for this VM',
    ])
    assert.deepEqual(
      (await refusedUpdate(update({ alias: 'ua-default', network: 'red' })))[1],
      'Failed to update device: Cannot edit Interface. The interface is on the default network and cannot be put on another; add a second one.',
    )
    assert.deepEqual(await refusedUpdate({ alias }), [11, 'Missing required parameter: deviceType'])
    assert.deepEqual(await refusedUpdate(update({ linkActive: true })), [11, 'Missing required parameter: alias'])
    assert.deepEqual(await refusedUpdate({ deviceType: 'graphics' }), [
      44,
      'Not implemented: devices of type graphics cannot be updated',
    ])
    const none = [1, 'Virtual machine does not exist']
    assert.deepEqual(await refusedUpdate(update({ alias }), '0000'), none)
    // vdsm knows no VM that is down.
    assert.deepEqual(await refusedUpdate(update({ alias }), world.vm2), none)
    const wrong = async (params: object) => (await refusedUpdate(params))[0]
    assert.equal(await wrong(update({ alias: 7 })), -32602)
    assert.equal(await wrong(update({ alias, linkActive: 'perhaps' })), -32602)
    assert.equal(await wrong(update({ alias, portMirroring: [7] })), -32602)
    assert.equal(await wrong(update({ alias, specParams: { inbound: {} } })), -32602)
    assert.equal(await wrong(update({ alias, port_isolated: true })), -32602)
    assert.deepEqual(
      (await vdsm.refused('VM.updateDevice', { params: update({ alias }) }))[1],
      'Invalid parameters: vmID is missing',
    )
    assert.equal((await vdsm.refused('VM.updateDevice', { vmID: world.vm1 }))[0], -32602)
    assert.deepEqual(await vdsm.refused('VM.destroy', { vmID: world.vm1 }), [-32601, 'Method not found: VM.destroy'])
    assert.deepEqual(await declared('nic1'), [undefined, 'blue'])
  })

  it('cards are plugged, found by their MAC address, unplugged, parked and plugged again', async () => {
    const plug = (nic: object) => vdsm.call('VM.hotplugNic', { vmID: world.vm1, params: { vmId: world.vm1, nic } })
    const { devices } = await plug({ type: 'interface', nicModel: 'pv', network: 'red', linkActive: 'false' })
    assert.equal(devices.length, 1)
    const [{ alias, macAddr }] = devices
    const name = alias.slice(3)
    assert.deepEqual(await world.inGuest(name).then(({ mac, linkState }) => [mac, linkState]), [macAddr, 'down'])
    assert.deepEqual(await declared(name), ['down', 'red'])
    const again = { vmID: world.vm1, params: { nic: { alias } } }
    assert.deepEqual(await vdsm.refused('VM.hotplugNic', again), [
      49,
      `Failed to hotplug NIC: the card ${alias} is plugged already`,
    ])
    const unplug = (nic: object) => ({ vmID: world.vm1, params: { vmId: world.vm1, nic } })
    assert.deepEqual(await vdsm.call('VM.hotunplugNic', unplug({ macAddr: macAddr.toUpperCase() })), {})
    assert.equal(await world.inGuest(name), undefined)
    assert.deepEqual(await vdsm.refused('VM.hotunplugNic', unplug({ alias })), [
      50,
      `Failed to hotunplug NIC: there is no card with the alias ${alias}`,
    ])
    // It is not in the guest, so there is nothing to update.
    assert.equal((await refusedUpdate(update({ alias })))[0], 56)
    assert.deepEqual(await plug({ alias, network: 'blue' }), { devices })
    assert.deepEqual(await declared(name), ['down', 'blue'])
    const xml = `<hotunplug><devices><interface><alias name="${alias}"/></interface></devices></hotunplug>`
    assert.deepEqual(await vdsm.call('VM.hotunplugNic', { vmID: world.vm1, params: { vmId: world.vm1, xml } }), {})
    assert.equal((await newest())?.[0], '934')
    const { nic } = await world.engine.get(`vms/${world.vm1}/nics`)
    await world.engine.remove(at(nic.find((one: Any) => one.name === name).id))
  })

  it('a card comes by the engine’s XML, with the name and MAC address there', async () => {
    const xml =
      '<hotplug><devices><interface type="bridge"><model type="virtio"/><link state="up"/><source bridge="red"/>' +
      '<alias name="ua-nicx"/><mac address="02:00:00:AB:00:01"/></interface></devices></hotplug>'
    const { devices } = await vdsm.call('VM.hotplugNic', { vmID: world.vm1, params: { vmId: world.vm1, xml } })
    assert.deepEqual(devices, [{ macAddr: '02:00:00:ab:00:01', alias: 'ua-nicx' }])
    assert.deepEqual(await world.inGuest('nicx').then(({ mac, linkState }) => [mac, linkState]), [
      '02:00:00:ab:00:01',
      'up',
    ])
    const { mac } = await world.inGuest('nic1')
    const taken = { vmID: world.vm1, params: { nic: { alias: 'ua-nicy', macAddr: mac, network: 'red' } } }
    assert.deepEqual(await vdsm.refused('VM.hotplugNic', taken), [
      49,
      `Failed to hotplug NIC: MAC Address ${mac} is already in use by VM or snapshot: vm1.`,
    ])
    await vdsm.call('VM.hotunplugNic', { vmID: world.vm1, params: { nic: { alias: 'ua-nicx' } } })
    const { nic } = await world.engine.get(`vms/${world.vm1}/nics`)
    await world.engine.remove(at(nic.find((one: Any) => one.name === 'nicx').id))
  })

  it('plugging and unplugging are refused in vdsm’s codes', async () => {
    const of = (nic: object, vmID = world.vm1) => ({ vmID, params: { nic } })
    assert.deepEqual(await vdsm.refused('VM.hotplugNic', of({ network: 'green' })), [
      49,
      'Failed to hotplug NIC: there is no network green for this VM',
    ])
    assert.equal((await vdsm.refused('VM.hotplugNic', of({ nicModel: 'ne2k' })))[0], -32602)
    assert.deepEqual(await vdsm.refused('VM.hotunplugNic', of({})), [11, 'Missing required parameter: alias'])
    assert.match(
      (await vdsm.refused('VM.hotunplugNic', of({ alias: 'ua-default' })))[1],
      /^Failed to hotunplug NIC: .*default network/,
    )
    for (const verb of ['VM.hotplugNic', 'VM.hotunplugNic'])
      assert.deepEqual(await vdsm.refused(verb, of({ alias: 'ua-nic1' }, world.vm2)), [
        1,
        'Virtual machine does not exist',
      ])
  })

  it('what the guest does not do is refused with its node’s reason, and taken back', async () => {
    const plug = (alias: string) =>
      vdsm.call('VM.hotplugNic', { vmID: world.vm1, params: { nic: { alias, network: 'red' } } })
    await plug('ua-stuck')
    const [code, text] = await refusedUpdate(update({ alias: 'ua-stuck', linkActive: false }))
    assert.deepEqual(
      [code, /^Failed to update device: libvirt refused to change ua-stuck/.test(text)],
      [56, true],
      text,
    )
    assert.deepEqual(await declared('stuck'), [undefined, 'red'])
    await plug('ua-sticky')
    using other = await Vdsm.connect(world.cluster.vdsmPort, world.cluster.keys)
    const nic = { alias: 'ua-sticky' }
    other.post({ jsonrpc: '2.0', id: 1, method: 'VM.hotunplugNic', params: { vmID: world.vm1, params: { nic } } })
    // Several requests are under way at once, and what waits for the guest holds up none of them.
    other.post({ jsonrpc: '2.0', id: 2, method: 'Host.ping2' })
    assert.deepEqual(JSON.parse((await other.next()).body), { jsonrpc: '2.0', id: 2, result: true })
    const { id, error } = JSON.parse((await other.next()).body)
    assert.deepEqual([id, error.code], [1, 50])
    assert.match(error.message, /^Failed to hotunplug NIC: .*The guest has not let go/)
    assert.deepEqual(await declared('sticky'), [undefined, 'red'])
  })

  it('during a migration cards are neither plugged nor unplugged', async () => {
    // Nowhere to go, so that it does not end.
    const path = '/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstancemigrations'
    await world.cluster.api.create(path, {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachineInstanceMigration',
      metadata: { name: 'away' },
      spec: { vmiName: 'vm1' },
    })
    const params = { vmID: world.vm1, params: { nic: { alias: 'ua-nic1' } } }
    for (const verb of ['VM.hotplugNic', 'VM.hotunplugNic'])
      assert.deepEqual(await vdsm.refused(verb, params), [51, 'Command not supported during migration'])
    assert.deepEqual((await vdsm.call('VM.getStats', { vmID: world.vm1 }))[0].status, 'Migration Source')
    await world.cluster.api.delete(`${path}/away`)
    await eventually('the migration is gone', async () => (await world.engine.get(`vms/${world.vm1}`)).status === 'up')
  })

  it('VMs, their cards and the capabilities of the nodes are reported', async () => {
    assert.equal(await vdsm.call('Host.ping'), true)
    assert.equal(await vdsm.call('Host.ping2'), true)
    assert.deepEqual(await vdsm.call('Host.getVMList'), [world.vm1])
    const full = await vdsm.call('Host.getVMList', { fullStatus: true })
    assert.deepEqual(await vdsm.call('Host.getVMFullList', { vmList: [world.vm1] }), full)
    assert.deepEqual([full[0].vmId, full[0].vmName, full[0].status], [world.vm1, 'vm1', 'Up'])
    await updateNic1({ linkActive: false })
    const [{ devices }] = await vdsm.call('Host.getVMFullList')
    const { mac } = await world.inGuest('nic1')
    assert.deepEqual(
      devices.find((one: Any) => one.name === 'nic1'),
      {
        ...{ type: 'interface', device: 'bridge', deviceId: world.nic1, name: 'nic1', alias: 'ua-nic1', macAddr: mac },
        ...{ nicModel: 'pv', network: 'blue', portMirroring: [], linkActive: false },
      },
    )
    await updateNic1({ linkActive: true })
    const [stats, ...more] = await vdsm.call('VM.getStats', { vmID: world.vm1 })
    assert.deepEqual([more, stats.vmId, stats.status], [[], world.vm1, 'Up'])
    assert.deepEqual(stats.network.nic1, { name: 'nic1', macAddr: mac, speed: '10000', state: 'unknown' })
    assert.deepEqual(await vdsm.refused('VM.getStats', { vmID: world.vm2 }), [1, 'Virtual machine does not exist'])
    const can = await vdsm.call('Host.getCapabilities')
    assert.deepEqual(Object.keys(can.networks).sort(), ['default/blue', 'default/red'])
    assert.deepEqual([can.cpuCores, can.software_version.length > 0], ['2', true])
  })

  it('VM.create starts a VM that is down with its cards as they are described, and creates nothing', async () => {
    const create = (vmID: string, devices: readonly object[]) => ({ vmID, vmParams: { vmId: vmID, devices } })
    const card = { type: 'interface', alias: 'ua-nic1', network: 'red', linkActive: 'false' }
    assert.equal((await vdsm.refused('VM.create', create(world.vm1, [])))[0], 44)
    assert.equal((await vdsm.refused('VM.create', create('0000', [])))[0], 44)
    assert.equal((await vdsm.refused('VM.create', create(world.vm2, [{ ...card, alias: 'ua-other' }])))[0], 44)
    assert.deepEqual(await vdsm.refused('VM.create', create(world.vm2, [{ ...card, network: 'green' }])), [
      9,
      'Error creating the requested VM: there is no network green for this VM',
    ])
    assert.equal((await world.engine.get(`vms/${world.vm2}`)).status, 'down')
    const made = await vdsm.call('VM.create', create(world.vm2, [{ type: 'disk' }, card]))
    assert.deepEqual(made, { vmId: world.vm2, vmName: 'vm2', status: 'WaitForLaunch' })
    assert.deepEqual(await declared('nic1', 'vm2'), ['down', 'red'])
    await eventually('vm2 runs', async () => (await world.engine.get(`vms/${world.vm2}`)).status === 'up')
    assert.deepEqual((await vdsm.call('Host.getVMList')).sort(), [world.vm1, world.vm2].sort())
  })

  it('the roles of the user decide, and others’ VMs do not exist', async () => {
    using viewer = await Vdsm.as(world.cluster, 'viewer')
    const params = { vmID: world.vm1, params: update({ alias: 'ua-nic1', linkActive: false }) }
    assert.deepEqual(await viewer.refused('VM.updateDevice', params), [
      56,
      'Failed to update device: User is not authorized to perform this action.',
    ])
    assert.equal((await viewer.call('Host.getVMList')).includes(world.vm1), true)
    using nobody = await Vdsm.as(world.cluster, 'nobody')
    assert.deepEqual(await nobody.call('Host.getVMList'), [])
    assert.deepEqual(await nobody.refused('VM.updateDevice', params), [1, 'Virtual machine does not exist'])
    assert.equal((await world.inGuest('nic1')).linkState, 'up')
    // Lines are written beside the answers.
    await eventually('both refusals are in the audit log', async () => {
      const lines = (await readFile(world.cluster.dir.audit, 'utf8'))
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
      const written = lines.filter(({ path }) => path === '/vdsm/VM.updateDevice').slice(-2)
      return written.map(({ user, code }) => `${user} ${code}`).join() === 'viewer 400,nobody 400'
    })
  })

  it('changes through both doors run one after the other, each on what the one before left', async () => {
    const states = Array.from({ length: 6 }, (_, i) => i % 2 === 1)
    const changes = states.map((linked, i) =>
      i % 3 ? updateOver(linked) : world.engine.put(at(), { linked: String(linked) }),
    )
    await Promise.all(changes)
    await updateNic1({ linkActive: true })
    assert.equal((await world.inGuest('nic1')).linkState, 'up')
  })
  const updateOver = async (linkActive: boolean) => {
    using own = await Vdsm.connect(world.cluster.vdsmPort, world.cluster.keys)
    return await own.call('VM.updateDevice', { vmID: world.vm1, params: update({ alias: 'ua-nic1', linkActive }) })
  }

  it('nothing of all that was a bug', () => assert.deepEqual(world.cluster.errors, []))
})
