import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, nadsPath, vmsPath } from './api.ts'
import { type Engine, type EngineWorld, startEngine } from './engine.ts'

describe('networks, templates, jobs and imports through oVirt’s API', () => {
  let world: EngineWorld
  let engine: Engine
  let dataCenter: string
  before(async () => {
    world = await startEngine()
    engine = world.engine
    dataCenter = (await engine.get('datacenters?search=name%3DDefault')).data_center[0].id
  })
  after(() => world?.stop())

  const newest = async () => (await engine.events())[0]
  const vmOf = (name: string) => world.cluster.api.get(vmsPath('default', name))

  it('a network is made, changed and removed as a NetworkAttachmentDefinition', async () => {
    const body = `<network><name>green</name><data_center id="${dataCenter}"/><description>lawn</description><mtu>1400</mtu></network>`
    const made = await engine.post('networks', body)
    assert.deepEqual([made.name, made.description], ['green', 'lawn'])
    const nad = await world.cluster.api.get(nadsPath('default', 'green'))
    assert.equal(nad.metadata.uid, made.id)
    assert.deepEqual(JSON.parse(nad.spec.config), {
      cniVersion: '1.0.0',
      name: 'green',
      type: 'bridge',
      bridge: 'br-green',
      mtu: 1400,
    })
    assert.deepEqual(await newest(), ['942', 'Network green was added to Data Center: Default'])
    const put = await engine.put(`networks/${made.id}`, { description: 'meadow', mtu: '0' })
    assert.equal(put.description, 'meadow')
    assert.equal(JSON.parse((await world.cluster.api.get(nadsPath('default', 'green'))).spec.config).mtu, undefined)
    await engine.remove(`networks/${made.id}`)
    assert.equal(await world.cluster.api.get(nadsPath('default', 'green')), undefined)
  })

  it('networks are refused what they cannot have, and are not removed while VMs are on them', async () => {
    const { network } = await engine.get('networks?search=name%3Dblue')
    const at = `networks/${network[0].id}`
    assert.deepEqual(await engine.refused('DELETE', at), [
      409,
      'Operation Failed',
      '[Cannot remove Network. It is used by these VMs: vm1, vm2.]',
    ])
    assert.equal((await engine.refused('PUT', at, { name: 'other' }))[0], 400)
    assert.deepEqual(
      await engine.refused('POST', 'networks', { name: 'x', data_center: { id: dataCenter }, vlan: { id: '7' } }),
      [400, 'The input is unsupported.', 'A VLAN of a network is not supported.'],
    )
    assert.equal(
      (await engine.refused('POST', 'networks', '<network/>'))[2],
      'Network [name, dataCenter.name|id] required for add',
    )
    assert.equal((await engine.refused('POST', 'networks', { name: 'blue', data_center: { name: 'Default' } }))[0], 409)
    const { network: pods } = await engine.get('networks?search=name%3Dpod')
    assert.equal((await engine.refused('DELETE', `networks/${pods[0].id}`))[0], 409)
    assert.equal(
      (await world.viewer.refused('POST', 'networks', { name: 'x', data_center: { id: dataCenter } }))[0],
      403,
    )
  })

  it('a profile is added to a network, changed, used and removed', async () => {
    const { network } = await engine.get('networks?search=name%3Dred')
    const made = await engine.post(
      'vnicprofiles',
      `<vnic_profile><name>slow</name><network id="${network[0].id}"/></vnic_profile>`,
    )
    assert.deepEqual(
      [made.name, made.network.id, made.port_mirroring, made.pass_through.mode],
      ['slow', network[0].id, 'false', 'disabled'],
    )
    assert.equal((await newest())?.[0], '1122')
    const put = await engine.put(`vnicprofiles/${made.id}`, { comment: 'uphill' })
    assert.equal(put.comment, 'uphill')
    const nic = await engine.post(`vms/${world.vm2}/nics`, { name: 'extra', vnic_profile: { id: made.id } })
    assert.equal(nic.vnic_profile.id, made.id)
    // It is on the network, and its profile is what oVirt alone knows.
    const spec = (await vmOf('vm2')).spec.template.spec
    assert.equal(spec.networks.find(({ name }: Any) => name === 'extra').multus.networkName, 'red')
    assert.equal((await engine.refused('DELETE', `vnicprofiles/${made.id}`))[0], 409)
    assert.equal((await engine.refused('PUT', `vnicprofiles/${made.id}`, { port_mirroring: 'true' }))[0], 409)
    await engine.remove(`vms/${world.vm2}/nics/${nic.id}`)
    await engine.remove(`vnicprofiles/${made.id}`)
    assert.equal((await engine.send('GET', `vnicprofiles/${made.id}`)).code, 404)
    assert.equal((await engine.refused('DELETE', `vnicprofiles/${world.profiles.red}`))[0], 409)
    assert.equal(
      (await engine.refused('POST', 'vnicprofiles', { name: 'red', network: { id: network[0].id } }))[0],
      409,
    )
  })

  it('F41: a template has the interfaces of its VM with their links and no MAC address, and its VMs have their own', async () => {
    const vm = `vms/${world.vm2}`
    const parked = await engine.post(`${vm}/nics`, {
      name: 'spare.1',
      linked: 'false',
      plugged: 'false',
      vnic_profile: { id: world.profiles.red },
    })
    const { nic } = await engine.get(`${vm}/nics`)
    await engine.put(`${vm}/nics/${nic[1].id}`, { linked: 'false' })
    const made = await engine.post('templates', { name: 'mould', description: 'for many', vm: { id: world.vm2 } })
    assert.deepEqual([made.name, made.description, made.status], ['mould', 'for many', 'ok'])
    const shape = (list: Any[]) =>
      list.map(({ name, linked, plugged, vnic_profile: { id } }) => [name, linked, plugged, id])
    const wanted = [
      ['default', 'true', 'true', world.profiles.pod],
      ['nic1', 'false', 'true', world.profiles.blue],
      ['spare.1', 'false', 'false', world.profiles.red],
    ]
    const copied = (await engine.get(`templates/${made.id}/nics`)).nic
    assert.deepEqual(
      shape(copied).map(([name, ...rest]) => [name, ...rest.slice(0, 2)]),
      wanted.map((row) => row.slice(0, 3)),
    )
    assert.equal(copied[0].mac, undefined)
    const added = await engine.post(`templates/${made.id}/nics`, { name: 'more', linked: 'false' })
    assert.deepEqual(await newest(), [
      '936',
      'Interface more (VirtIO) was added to Template mould. (User: admin@internal)',
    ])
    assert.equal((await engine.put(`templates/${made.id}/nics/${added.id}`, { linked: 'true' })).linked, 'true')
    assert.deepEqual(await newest(), [
      '940',
      'Interface more (VirtIO) was updated for Template mould. Link State is UP. (User: admin@internal)',
    ])
    await engine.remove(`templates/${made.id}/nics/${added.id}`)
    const cast = await engine.post('vms', { name: 'cast', cluster: { name: 'Default' }, template: { name: 'mould' } })
    const nics = (await engine.get(`vms/${cast.id}/nics`)).nic
    assert.deepEqual(
      shape(nics).map((row) => row.slice(0, 3)),
      wanted.map((row) => row.slice(0, 3)),
    )
    const macs = new Set([...nic, ...nics].map(({ mac }) => mac.address))
    assert.equal(macs.size, nic.length + nics.length)
    // A template is no VM.
    const { vm: all } = await engine.get('vms')
    assert.ok(!all.some(({ name }: Any) => name === 'mould'))
    await engine.remove(`vms/${cast.id}`)
    await engine.remove(`templates/${made.id}`)
    await engine.remove(`${vm}/nics/${parked.id}`)
    await engine.put(`${vm}/nics/${nic[1].id}`, { linked: 'true' })
  })

  it('a client’s own job has steps, and ends as the client says', async () => {
    const job = await engine.post(
      'jobs',
      '<job><auto_cleared>true</auto_cleared><description>mine</description><external>true</external><status>started</status></job>',
    )
    assert.deepEqual([job.status, job.external, job.description], ['started', 'true', 'mine'])
    assert.deepEqual(await engine.get(`jobs/${job.id}/steps`), {})
    const step = await engine.post(
      `jobs/${job.id}/steps`,
      '<step><description>first</description><type>validating</type><status>started</status></step>',
    )
    await engine.post(`jobs/${job.id}/steps/${step.id}/end`, '<action><succeeded>true</succeeded></action>')
    const { step: steps } = await engine.get(`jobs/${job.id}/steps`)
    assert.deepEqual(
      steps.map(({ description, status }: Any) => [description, status]),
      [['first', 'finished']],
    )
    await engine.post(`jobs/${job.id}/end`, '<action><succeeded>false</succeeded></action>')
    const ended = await engine.get(`jobs/${job.id}`)
    assert.equal(ended.status, 'failed')
    assert.ok(ended.end_time >= ended.start_time)
    assert.equal((await engine.send('POST', `jobs/${world.vm1}/end`, { body: '<action/>' })).code, 404)
  })

  it('F43: a VM’s OVF has its interfaces, and makes the same ones', async () => {
    const vm = `vms/${world.vm2}`
    const { nic } = await engine.get(`${vm}/nics`)
    const bare = await engine.post(`${vm}/nics`, { name: 'bare', linked: 'false', vnic_profile: {} })
    const off = await engine.post(`${vm}/nics`, {
      name: 'off',
      plugged: 'false',
      interface: 'e1000',
      vnic_profile: { id: world.profiles.red },
    })
    assert.equal((await engine.get(vm)).initialization, undefined)
    const { type, data } = (await engine.get(`${vm}?all_content=true`)).initialization.configuration
    assert.equal(type, 'ovf')
    assert.match(data, /<rasd:Caption>Ethernet adapter on blue<\/rasd:Caption>/)
    assert.match(data, /<rasd:Caption>Ethernet adapter on \[No Network\]<\/rasd:Caption>/)
    for (const part of [
      '<rasd:Linked>false</rasd:Linked>',
      '<IsPlugged>false</IsPlugged>',
      '<rasd:ResourceSubType>2<',
      '<rasd:Connection></rasd:Connection>',
      `<rasd:MACAddress>${nic[1].mac.address}<`,
    ])
      assert.ok(data.includes(part), part)
    const made = await engine.post('vms', {
      name: 'copy',
      cluster: { name: 'Default' },
      initialization: {
        configuration: { type: 'ovf', data: data.replaceAll(/<rasd:MACAddress>[^<]*/g, '<rasd:MACAddress>') },
      },
    })
    const shape = async (id: string) =>
      (await engine.get(`vms/${id}/nics`)).nic.map(({ name, interface: of, linked, plugged, vnic_profile }: Any) => [
        name,
        of,
        linked,
        plugged,
        vnic_profile?.id,
      ])
    assert.deepEqual(await shape(made.id), await shape(world.vm2))
    assert.equal(made.memory, (await engine.get(vm)).memory)
    const { networks } = (await vmOf('copy')).spec.template.spec
    assert.deepEqual(networks[0], { name: 'default', pod: {} })
    await engine.remove(`vms/${made.id}`)
    for (const { id } of [bare, off]) await engine.remove(`${vm}/nics/${id}`)
  })

  it('F44: an import knows no network that is not there, unplugs a card whose MAC is taken, and takes what is missing for granted', async () => {
    const mac = (await engine.get(`vms/${world.vm1}/nics`)).nic[1].mac.address
    const item = (parts: string) => `<Item><rasd:ResourceType>10</rasd:ResourceType>${parts}</Item>`
    const ovf = `<ovf:Envelope><Content><Name>from-afar</Name><Section>
      ${item('<rasd:Connection>nowhere</rasd:Connection><rasd:Name>lost</rasd:Name><rasd:Linked>false</rasd:Linked>')}
      ${item(`<rasd:Connection>blue</rasd:Connection><rasd:Name>twin</rasd:Name><rasd:MACAddress>${mac}</rasd:MACAddress>`)}
      ${item('<rasd:Connection>red</rasd:Connection>')}
    </Section></Content></ovf:Envelope>`
    const made = await engine.post('vms', {
      cluster: { name: 'Default' },
      initialization: { configuration: { type: 'ovf', data: ovf } },
    })
    assert.equal(made.name, 'from-afar')
    const { nic } = await engine.get(`vms/${made.id}/nics`)
    assert.deepEqual(
      nic.map(({ name, linked, plugged, vnic_profile }: Any) => [name, linked, plugged, vnic_profile?.id]),
      [
        ['lost', 'false', 'true', undefined],
        ['twin', 'true', 'false', world.profiles.blue],
        ['nic3', 'true', 'true', world.profiles.red],
      ],
    )
    assert.notEqual(nic[1].mac.address, mac)
    const codes = (await engine.events('vm.name=from-afar')).map(([code]) => code)
    assert.deepEqual(codes, ['1152', '838', '9600'])
    await engine.remove(`vms/${made.id}`)
    const bad = {
      cluster: { name: 'Default' },
      initialization: { configuration: { type: 'ovf', data: '<!DOCTYPE a><a/>' } },
    }
    assert.equal((await engine.refused('POST', 'vms', bad))[0], 400)
  })

  it('meets no bug of the server', () => assert.deepEqual(world.cluster.errors, []))
})
