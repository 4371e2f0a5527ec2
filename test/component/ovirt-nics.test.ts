import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, vmisPath, vmsPath } from './api.ts'
import { type Engine, type EngineWorld, startEngine } from './engine.ts'

const updated = (nic: string, link = ' ') =>
  `Interface ${nic} (VirtIO) was updated for VM vm1. ${link} (User: admin@internal)`
const hotUpdate =
  '[Cannot edit Interface. Updating some of the properties is not supported while the interface is plugged into a running virtual machine. Please un-plug the interface, update the properties, and then plug it back.]'

describe('interfaces through oVirt’s API', () => {
  let world: EngineWorld
  let engine: Engine
  before(async () => {
    world = await startEngine()
    engine = world.engine
  })
  after(() => world?.stop())

  const at = (nic = world.nic1, vm = world.vm1) => `vms/${vm}/nics/${nic}`
  const declared = async (name: string, vm = 'vm1') => {
    const { spec } = (await world.cluster.api.get(vmsPath('default', vm))).spec.template
    const one = spec.domain.devices.interfaces.find((nic: Any) => nic.name === name)
    const network = spec.networks.find((nic: Any) => nic.name === name)
    return one && { state: one.state, mac: one.macAddress, model: one.model, network: network.multus?.networkName }
  }
  const profile = (name: string) => `<vnic_profile id="${world.profiles[name]}"/>`
  const newest = async (count: number) => (await engine.events()).slice(0, count)
  /** What the audit log gained since. */
  const since = async (work: () => Promise<unknown>) => {
    const before = (await engine.events()).length
    await work()
    return (await engine.events()).slice(0, -before)
  }
  /** An interface that is there for one test alone. */
  const withNic = async (name: string, test: (id: string, nic: Any) => Promise<void>, extra = '') => {
    const nic = await engine.post(`vms/${world.vm1}/nics`, `<nic><name>${name}</name>${extra || profile('red')}</nic>`)
    try {
      await test(nic.id, nic)
    } finally {
      await engine.post(`${at(nic.id)}/deactivate`)
      await engine.remove(at(nic.id))
    }
  }

  it('T12, T13: a link goes down and up, and the answer comes when the guest has it', async () => {
    const before = await world.inGuest('nic1')
    const down = await engine.put(at(), '<nic><linked>false</linked></nic>')
    assert.deepEqual([down.linked, down.plugged, down.synced, down.name], ['false', 'true', 'true', 'nic1'])
    assert.deepEqual(await world.inGuest('nic1'), { ...before, linkState: 'down' })
    assert.equal((await declared('nic1')).state, 'down')
    assert.deepEqual(await newest(1), [['934', updated('nic1', 'Link State is DOWN.')]])
    const up = await engine.put(at(), { linked: true })
    assert.equal(up.linked, 'true')
    assert.equal((await world.inGuest('nic1')).linkState, 'up')
    assert.deepEqual(await newest(1), [['934', updated('nic1', 'Link State is UP.')]])
  })

  it('T15: another profile moves the card, which keeps its MAC address', async () => {
    const { mac } = await engine.get(at())
    const moved = await engine.put(at(), `<nic>${profile('red')}</nic>`)
    assert.deepEqual([moved.vnic_profile.id, moved.mac], [world.profiles.red, mac])
    assert.equal((await declared('nic1')).network, 'red')
    assert.deepEqual(await newest(1), [['934', updated('nic1')]])
  })

  it('T16, T17: no profile is no network, and the link state is kept', async () => {
    const off = await engine.put(at(), '<nic><vnic_profile/></nic>')
    assert.deepEqual([off.vnic_profile, off.linked, off.synced], [undefined, 'true', 'true'])
    assert.equal((await declared('nic1')).network, 'patchbay-none')
    assert.equal((await world.inGuest('nic1')).linkState, 'down')
    const on = await engine.put(at(), { vnic_profile: { id: world.profiles.blue } })
    assert.equal(on.vnic_profile.id, world.profiles.blue)
    assert.equal((await world.inGuest('nic1')).linkState, 'up')
  })

  it('T18, T23, T24: a card is added to a running guest, and removed only when it is unplugged', async () => {
    const { code, json, headers } = await engine.send('POST', `vms/${world.vm1}/nics`, {
      body: `<nic><name>nic2</name>${profile('red')}</nic>`,
    })
    assert.equal(code, 201)
    assert.equal(headers.location, json.href)
    const { name, interface: type, linked, plugged, mac } = json
    assert.deepEqual([name, type, linked, plugged], ['nic2', 'virtio', 'true', 'true'])
    assert.equal((await world.inGuest('nic2')).mac, mac.address)
    const [added, plug] = await newest(2)
    assert.deepEqual(plug, ['1012', 'Network Interface nic2 (VirtIO) was plugged to VM vm1. (User: admin@internal)'])
    assert.deepEqual(added, ['932', 'Interface nic2 (VirtIO) was added to VM vm1. (User: admin@internal)'])
    assert.deepEqual(await engine.refused('DELETE', at(json.id)), [
      409,
      'Operation Failed',
      '[Cannot remove Interface. The VM Network Interface is plugged to a running VM.]',
    ])
    await engine.post(`${at(json.id)}/deactivate`)
    assert.deepEqual(await engine.remove(at(json.id)), { status: 'complete' })
    assert.equal((await engine.send('GET', at(json.id))).code, 404)
    assert.equal(await declared('nic2'), undefined)
    assert.deepEqual(await newest(1), [
      ['930', 'Interface nic2 (VirtIO) was removed from VM vm1. (User: admin@internal)'],
    ])
  })

  it('T19: a card without a profile is there with its link down', () =>
    withNic(
      'bare',
      async (_id, nic) => {
        assert.deepEqual([nic.linked, nic.vnic_profile], ['true', undefined])
        assert.equal((await world.inGuest('bare')).linkState, 'down')
      },
      '<vnic_profile/>',
    ))

  it('T20: a card that is added unplugged is none for the guest', async () => {
    const nic = await engine.post(`vms/${world.vm1}/nics`, { name: 'later', plugged: 'false', linked: 'false' })
    assert.deepEqual([nic.plugged, nic.linked, nic.synced], ['false', 'false', 'true'])
    assert.equal((await declared('later')).state, 'absent')
    assert.equal(await world.inGuest('later'), undefined)
    assert.deepEqual(await newest(1), [['932', 'Interface later (VirtIO) was added to VM vm1. (User: admin@internal)']])
    await engine.remove(at(nic.id))
  })

  it('T21, T22: a card is unplugged and plugged again with its MAC address, and with the link it was given meanwhile', () =>
    withNic('nic2', async (id, { mac }) => {
      assert.deepEqual(await engine.post(`${at(id)}/deactivate`), { status: 'complete' })
      assert.equal(await world.inGuest('nic2'), undefined)
      assert.equal((await engine.get(at(id))).plugged, 'false')
      const [edit, unplug] = await newest(2)
      assert.equal(unplug?.[1], 'Network Interface nic2 (VirtIO) was unplugged from VM vm1. (User: admin@internal)')
      assert.deepEqual([unplug?.[0], edit], ['1014', ['934', updated('nic2')]])
      await engine.put(at(id), { linked: 'false' })
      const parked = await engine.get(at(id))
      assert.deepEqual([parked.linked, parked.plugged], ['false', 'false'])
      await engine.post(`${at(id)}/activate`, {})
      assert.deepEqual(await world.inGuest('nic2').then(({ mac: of, linkState }) => [of, linkState]), [
        mac.address,
        'down',
      ])
      assert.equal((await engine.get(at(id))).linked, 'false')
    }))

  it('a card whose link is down is parked and comes back down', () =>
    withNic('nic2', async (id) => {
      await engine.put(at(id), { linked: 'false' })
      await engine.put(at(id), { plugged: 'false' })
      assert.deepEqual(await engine.get(at(id)).then(({ linked, plugged }) => [linked, plugged]), ['false', 'false'])
      await engine.put(at(id), { plugged: 'true' })
      assert.equal((await world.inGuest('nic2')).linkState, 'down')
    }))

  it('T25: MAC address and type of a plugged card stay while the guest runs', async () => {
    const before = await declared('nic1')
    for (const body of [
      '<nic><mac><address>02:00:00:00:12:34</address></mac></nic>',
      '<nic><interface>e1000</interface></nic>',
    ])
      assert.deepEqual(await engine.refused('PUT', at(), body), [409, 'Operation Failed', hotUpdate])
    assert.deepEqual(await declared('nic1'), before)
  })

  it('T26: the MAC address of an unplugged card is another one when it is plugged again', () =>
    withNic('nic2', async (id) => {
      await engine.post(`${at(id)}/deactivate`)
      const mac = '02:00:00:00:AB:CD'
      const put = await engine.put(at(id), `<nic><mac><address>${mac}</address></mac></nic>`)
      assert.equal(put.mac.address, mac.toLowerCase())
      await engine.post(`${at(id)}/activate`)
      assert.equal((await world.inGuest('nic2')).mac, mac.toLowerCase())
    }))

  it('T27: names are one of each, and one there must be', async () => {
    const nics = `vms/${world.vm1}/nics`
    assert.deepEqual(await engine.refused('POST', nics, '<nic><name>nic1</name></nic>'), [
      409,
      'Operation Failed',
      '[Network interface name is already in use]',
    ])
    assert.deepEqual(await engine.refused('POST', nics, '<nic/>'), [
      400,
      'Incomplete parameters',
      'Nic [name] required for add',
    ])
  })

  it('T28: a MAC address that another VM has is refused with the name of that VM', async () => {
    const mac = (await engine.get(`vms/${world.vm2}/nics`)).nic[1].mac.address
    const body = `<nic><name>copy</name><mac><address>${mac}</address></mac></nic>`
    const detail = `[MAC Address ${mac} is already in use by VM or snapshot: vm2.]`
    assert.deepEqual(await engine.refused('POST', `vms/${world.vm1}/nics`, body), [409, 'Operation Failed', detail])
  })

  it('T29: an unknown profile is refused', async () => {
    const body = '<nic><vnic_profile id="00000000-0000-0000-0000-000000000009"/></nic>'
    const detail = "[Cannot edit Interface. The specified VM network interface profile doesn't exist.]"
    assert.deepEqual(await engine.refused('PUT', at(), body), [400, 'Operation Failed', detail])
  })

  it('T30: a card has another name for oVirt alone, and keeps its id', async () => {
    const renamed = await engine.put(at(), '<nic><name>uplink.1</name></nic>')
    assert.deepEqual([renamed.id, renamed.name], [world.nic1, 'uplink.1'])
    assert.ok(await declared('nic1'))
    assert.equal(await declared('uplink.1'), undefined)
    assert.equal((await engine.get(at())).name, 'uplink.1')
    const { nic } = await engine.get(`vms/${world.vm1}/nics`)
    assert.deepEqual(
      nic.map(({ name }: Any) => name),
      ['default', 'uplink.1'],
    )
    await engine.put(at(), { name: 'nic1' })
    const { annotations } = (await world.cluster.api.get(vmsPath('default', 'vm1'))).metadata
    assert.equal(annotations['ovirt.patchbay.dev/nics'], undefined)
  })

  it('a name with a dot is one of Kubernetes’ own for the interface', () =>
    withNic('nic.2', async (_id, { name }) => {
      assert.equal(name, 'nic.2')
      assert.ok(await declared('nic-2'))
    }))

  it('T31: a document that is put back as it was got changes nothing', async () => {
    const text = await engine.xml(at())
    const { metadata } = await world.cluster.api.get(vmsPath('default', 'vm1'))
    const gained = await since(() => engine.put(at(), text))
    await since(async () => engine.put(at(), await engine.get(at())))
    assert.deepEqual(gained, [])
    const after = (await world.cluster.api.get(vmsPath('default', 'vm1'))).metadata
    assert.equal(after.resourceVersion, metadata.resourceVersion)
  })

  it('another id is refused', async () => {
    const [code, reason] = await engine.refused('PUT', at(), '<nic id="00000000-0000-0000-0000-000000000009"/>')
    assert.deepEqual([code, reason], [409, 'Broken immutability constraint'])
  })

  it('T32: everything of a card of a VM that is down is changed, and is so when it starts', async () => {
    const { nic } = await engine.get(`vms/${world.vm2}/nics`)
    const { id } = nic.find(({ name }: Any) => name === 'nic1')
    const body = `<nic><mac><address>02:00:00:00:32:32</address></mac><interface>e1000</interface><linked>false</linked>${profile('red')}</nic>`
    const put = await engine.put(at(id, world.vm2), body)
    assert.deepEqual([put.mac.address, put.interface, put.linked], ['02:00:00:00:32:32', 'e1000', 'false'])
    assert.deepEqual(await declared('nic1', 'vm2'), {
      state: 'down',
      mac: '02:00:00:00:32:32',
      model: 'e1000',
      network: 'red',
    })
    await engine.post(`vms/${world.vm2}/start`)
    await eventually('vm2 is up', async () => (await engine.get(`vms/${world.vm2}`)).status === 'up')
    const { status } = await world.cluster.api.get(vmisPath('default', 'vm2'))
    assert.deepEqual(status.interfaces.find(({ name }: Any) => name === 'nic1').linkState, 'down')
    await engine.post(`vms/${world.vm2}/stop`)
    await eventually('vm2 is down', async () => (await engine.get(`vms/${world.vm2}`)).status === 'down')
  })

  it('T33: the card on the pod network cannot be unplugged or moved, and its link can be cut', async () => {
    const { nic } = await engine.get(`vms/${world.vm1}/nics`)
    const { id } = nic.find(({ name }: Any) => name === 'default')
    const [code, , detail] = await engine.refused('POST', `${at(id)}/deactivate`, '<action/>')
    assert.equal(code, 409)
    assert.match(detail, /set its link down instead, by linked false/)
    assert.equal((await engine.refused('PUT', at(id), `<nic>${profile('red')}</nic>`))[0], 409)
    assert.equal((await engine.put(at(id), { linked: 'false' })).linked, 'false')
    await engine.put(at(id), { linked: 'true' })
    assert.equal(
      (await engine.refused('POST', `vms/${world.vm1}/nics`, `<nic><name>second</name>${profile('pod')}</nic>`))[0],
      409,
    )
  })

  it('T34: what kubectl changes is seen, and is in the audit log', async () => {
    const state = (value: string) => ({
      op: 'add',
      path: '/spec/template/spec/domain/devices/interfaces/1/state',
      value,
    })
    await world.cluster.api.patch(vmsPath('default', 'vm1'), [state('down')])
    await eventually('the entry', async () => {
      const [[code, text] = []] = await newest(1)
      return (
        code === '934' &&
        text?.startsWith('Interface nic1 (VirtIO) was updated for VM vm1. Link State is DOWN. (User: ')
      )
    })
    assert.equal((await engine.get(at())).linked, 'false')
    const gained = await since(() => engine.put(at(), { linked: 'true' }))
    assert.deepEqual(gained, [['934', updated('nic1', 'Link State is UP.')]])
  })

  it('T35: link_state up and down mean the same as linked', async () => {
    assert.equal((await engine.put(at(), '<nic><link_state>down</link_state></nic>')).linked, 'false')
    const back = await engine.put(at(), { link_state: 'up' })
    assert.deepEqual([back.linked, back.link_state], ['true', undefined])
    assert.equal((await engine.refused('PUT', at(), { link_state: 'sideways' }))[0], 400)
  })

  it('T36: a cluster of version 3.1 has no network linking', async () => {
    const { api } = world.cluster
    const clusters = JSON.stringify({ old: { version: '3.1' }, lean: { networks: ['red'] } })
    await api.create('/api/v1/namespaces/default/configmaps', {
      metadata: { name: 'patchbay-ovirt' },
      data: { clusters },
    })
    const vm = `vms/${world.vm1}`
    await engine.put(vm, '<vm><cluster><name>old</name></cluster></vm>')
    const text = (action: string) => `${action} not supported for clusters of version 3.1.]`
    const details = [
      await engine.refused('PUT', at(), { linked: 'false' }),
      await engine.refused('PUT', at(), '<nic><vnic_profile/></nic>'),
      await engine.refused('PUT', at(), `<nic>${profile('red')}</nic>`),
      await engine.refused('POST', `${vm}/nics`, '<nic><name>x</name></nic>'),
    ].map(([, , detail]) => detail)
    assert.deepEqual(details, [
      text('[Cannot edit Interface. Updating the virtual machine interface while the virtual machine is running is'),
      text('[Cannot edit Interface. Updating the virtual machine interface while the virtual machine is running is'),
      text('[Cannot edit Interface. Updating the virtual machine interface while the virtual machine is running is'),
      '[Cannot add Interface. You must select a network for clusters of version 3.1.]',
    ])
    const [code, , detail] = await engine.refused('PUT', vm, '<vm><cluster><name>lean</name></cluster></vm>')
    assert.deepEqual(
      [code, detail],
      [409, '[Cannot edit VM Cluster. Selected Cluster is missing one or more networks pod, blue that is used by VM.]'],
    )
    await engine.put(vm, '<vm><cluster><name>Default</name></cluster></vm>')
    await api.delete('/api/v1/namespaces/default/configmaps/patchbay-ovirt')
  })

  it('T37: a change is a job that has finished', async () => {
    await engine.put(at(), { linked: 'false' })
    const { job } = await engine.get('jobs')
    const [{ description, status, id }] = job
    assert.deepEqual([description, status], ['Updating Network Interface nic1 properties for VM vm1', 'finished'])
    assert.equal((await engine.get(`jobs/${id}`)).id, id)
    await engine.put(at(), { linked: 'true' })
  })

  it('T38: who may only look is refused, and nothing is changed', async () => {
    const { viewer } = world
    assert.equal((await viewer.get(at())).linked, 'true')
    const denied = [403, 'Operation Failed', '[User is not authorized to perform this action.]']
    assert.deepEqual(await viewer.refused('PUT', at(), { linked: 'false' }), denied)
    assert.deepEqual(await viewer.refused('POST', `vms/${world.vm2}/start`, '<action/>'), denied)
    assert.deepEqual(await viewer.refused('DELETE', `vms/${world.vm2}`), denied)
    assert.equal((await engine.get(at())).linked, 'true')
  })

  it('refuses what is malformed, all of it at once, before anything is written', async () => {
    const bad = '<nic><name>a b</name><mac><address>01:00:00:00:00:01</address></mac></nic>'
    assert.deepEqual(await engine.refused('PUT', at(), bad), [
      400,
      'Operation Failed',
      '[Name must be formed of alphanumeric characters, numbers or "-_."., Multi-cast MAC address is not allowed.]',
    ])
    const wrong: [object, string][] = [
      [{ linked: 'maybe' }, 'Invalid value'],
      [{ interface: 'ne2k' }, 'Invalid Enum value'],
      [{ mac: { address: '02:00' } }, 'Operation Failed'],
      [{ mac: { address: '00:00:00:00:00:00' } }, 'Operation Failed'],
      [{ interface: 'rtl8139_virtio', plugged: 'false' }, 'Operation Failed'],
      [
        { network_filter_parameters: { network_filter_parameter: [{ name: 'a', value: 'b' }] } },
        'The input is unsupported.',
      ],
    ]
    for (const [body, reason] of wrong) {
      const [code, why] = await engine.refused('PUT', at(), body)
      assert.ok(code === 400 || code === 409, JSON.stringify(body))
      assert.equal(why, reason, JSON.stringify(body))
    }
    assert.equal((await engine.get(at())).name, 'nic1')
  })

  it('rounds of unplugging and plugging several cards at a time end as they were asked to', async () => {
    const ids: string[] = []
    for (const name of ['r1', 'r2', 'r3'])
      ids.push((await engine.post(`vms/${world.vm1}/nics`, `<nic><name>${name}</name>${profile('red')}</nic>`)).id)
    for (let round = 0; round < 10; round++)
      for (const verb of ['deactivate', 'activate']) {
        await Promise.all(ids.map((id) => engine.post(`${at(id)}/${verb}`)))
        for (const id of ids) assert.equal((await engine.get(at(id))).plugged, String(verb === 'activate'))
      }
    for (const id of ids) {
      await engine.post(`${at(id)}/deactivate`)
      await engine.remove(at(id))
    }
  })

  it('meets no bug of the server', () => assert.deepEqual(world.cluster.errors, []))
})
