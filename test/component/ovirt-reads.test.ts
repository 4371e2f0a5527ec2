import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, vmsPath } from './api.ts'
import { type Engine, type EngineWorld, root, startEngine } from './engine.ts'

describe('what oVirt’s API shows', () => {
  let world: EngineWorld
  let engine: Engine
  before(async () => {
    world = await startEngine()
    engine = world.engine
  })
  after(() => world?.stop())

  const found = async (collection: string, item: string, search: string, more = '') =>
    ((await engine.get(`${collection}?search=${encodeURIComponent(search)}${more}`))[item] ?? []).map(
      (one: Any) => one.name,
    )

  it('T7: VMs one element per line, with their id at the end of the line that begins them', async () => {
    const text = await engine.xml('vms')
    const starts = text.split('\n').filter((line) => line.includes('<vm '))
    assert.equal(starts.length, 2)
    for (const line of starts) assert.match(line, /^ {4}<vm href="[^"]+" id="[0-9a-f-]{36}">$/)
    const { vm } = await engine.get('vms')
    assert.deepEqual(
      vm.map(({ name, status }: Any) => [name, status]),
      [
        ['vm1', 'up'],
        ['vm2', 'down'],
      ],
    )
  })

  it('T8: searches as clients write them', async () => {
    const same = [
      'name=vm1',
      'name="vm1"',
      'name = "VM1"',
      'name=vm* and status=up',
      'vm1',
      'Vms.name=vm1',
      'mine or name=vm1',
    ]
    for (const search of same) assert.deepEqual(await found('vms', 'vm', search), ['vm1'], search)
    assert.deepEqual(await found('vms', 'vm', 'name=vm* sortby name desc'), ['vm2', 'vm1'])
    assert.deepEqual(await found('vms', 'vm', 'SORTBY NAME ASC page 2', '&max=1'), ['vm2'])
    assert.deepEqual(await found('vms', 'vm', 'name != vm1'), ['vm2'])
    assert.deepEqual(await found('vms', 'vm', 'memory > 100 and memory < 200'), ['vm1', 'vm2'])
    assert.deepEqual(await found('vms', 'vm', 'vnic.network_name=blue and status=down'), ['vm2'])
    assert.deepEqual(await found('vms', 'vm', 'name=VM1', '&case_sensitive=true'), [])
    assert.deepEqual(await found('vms', 'vm', 'name=vm1', '&case_sensitive=true'), ['vm1'])
    assert.deepEqual(await found('datacenters', 'data_center', 'Clusters.name=Default'), ['Default'])
    assert.deepEqual(await found('networks', 'network', 'name="blue" and datacenter="Default"'), ['blue'])
    assert.deepEqual(await found('templates', 'template', 'name=Blank and datacenter=Default'), ['Blank'])
    assert.deepEqual(await found('templates', 'template', 'vm.name=vm2'), ['Blank'])
    assert.deepEqual(await found('clusters', 'cluster', 'Default'), ['Default'])
    assert.match(await engine.xml('vms?search=name%3Dnothing'), /\n<vms\/>\n$/)
    assert.deepEqual(await engine.get('vms?search=name%3Dnothing'), {})
  })

  it('refuses searches that are wrong', async () => {
    for (const search of ['colour=red', 'name=', '= vm1', 'name="vm1', 'sortby colour', 'page 0'])
      assert.equal((await engine.refused('GET', `vms?search=${encodeURIComponent(search)}`))[0], 400, search)
  })

  it('T9: every address in what is shown leads to the thing it names', async () => {
    const collections = [
      'networks',
      'vnicprofiles',
      'clusters',
      'datacenters',
      'hosts',
      'templates',
      'vms',
      `vms/${world.vm1}/nics`,
    ]
    const hrefs = new Map<string, string | undefined>()
    const walk = (value: Any): void => {
      if (typeof value !== 'object' || value === null) return
      if (typeof value.href === 'string' && !value.href.includes('{query}')) hrefs.set(value.href, value.id)
      for (const [name, inner] of Object.entries(value)) if (name !== 'actions') walk(inner)
    }
    for (const one of ['', ...collections]) walk(await engine.get(one))
    assert.ok(hrefs.size > 60, `${hrefs.size}`)
    for (const [href, id] of hrefs) {
      assert.ok(href.startsWith(`${root}/`), href)
      const { code, json } = await engine.send('GET', href)
      if (href.includes('/users/')) continue
      assert.equal(code, 200, href)
      if (id !== undefined) assert.equal(json.id, id, href)
    }
  })

  it('T9: a VM has what clients cannot do without', async () => {
    const vm = await engine.get(`vms/${world.vm1}`)
    const { topology } = vm.cpu
    assert.deepEqual(topology, { cores: '1', sockets: '1', threads: '1' })
    assert.deepEqual(
      [vm.memory, vm.display.type, vm.os.type, vm.type],
      [String(128 * 2 ** 20), 'vnc', 'other', 'server'],
    )
    assert.equal(typeof vm.creation_time, 'number')
    assert.deepEqual([vm.description, vm.comment, vm.next_run_configuration_exists], ['', '', 'false'])
    assert.ok(vm.cluster.id && vm.template.id && vm.host.id && vm.host.href)
    const rels = vm.link.map(({ rel }: Any) => rel)
    for (const rel of 'nics diskattachments snapshots reporteddevices statistics tags cdroms numanodes watchdogs graphicsconsoles hostdevices affinitylabels applications permissions sessions'.split(
      ' ',
    ))
      assert.ok(rels.includes(rel), rel)
    assert.equal((await engine.get(`vms/${world.vm2}`)).host, undefined)
  })

  it('T10: interfaces with all their parts, and scalars that are strings in JSON', async () => {
    const { nic } = await engine.get(`vms/${world.vm1}/nics`)
    assert.equal(nic.length, 2)
    const one = nic.find(({ id }: Any) => id === world.nic1)
    const { name, interface: type, linked, plugged, synced, mac, vnic_profile } = one
    assert.deepEqual([name, type, linked, plugged, synced], ['nic1', 'virtio', 'true', 'true', 'true'])
    assert.equal(vnic_profile.id, world.profiles.blue)
    const vm = await world.cluster.api.get(vmsPath('default', 'vm1'))
    assert.equal(mac.address, vm.spec.template.spec.domain.devices.interfaces[1].macAddress)
    assert.deepEqual(
      one.actions.link.map(({ rel }: Any) => rel),
      ['activate', 'deactivate'],
    )
    assert.deepEqual(
      one.link.map(({ rel }: Any) => rel),
      ['networkfilterparameters', 'reporteddevices', 'statistics'],
    )
  })

  it('tells what goes over a card: totals, and rates since the look before', async () => {
    const at = `vms/${world.vm1}/nics/${world.nic1}/statistics`
    const read = async (path = at): Promise<Record<string, Any>> => {
      const { statistic } = await engine.get(path)
      return Object.fromEntries(statistic.map((one: Any) => [one.name, one]))
    }
    const first = await read()
    assert.deepEqual(Object.keys(first).toSorted(), [
      ...['data.current.rx', 'data.current.rx.bps', 'data.current.tx', 'data.current.tx.bps'],
      ...['data.total.rx', 'data.total.tx', 'errors.total.rx', 'errors.total.tx'],
    ])
    const { kind, type, unit, values, nic, href, id } = first['data.total.rx']
    assert.deepEqual([kind, type, unit, nic.id], ['counter', 'integer', 'bytes', world.nic1])
    assert.equal(href, `/ovirt-engine/api/${at}/${id}`)
    const numberOf = (one: Any) => Number(one.values.value[0].datum)
    assert.ok(Number(values.value[0].datum) > 0)
    const second = await read()
    assert.ok(numberOf(second['data.total.rx']) > numberOf(first['data.total.rx']))
    assert.ok(numberOf(second['data.current.rx']) > 0)
    assert.ok(numberOf(second['data.current.tx.bps']) > numberOf(second['data.current.tx']))
    const { nic: nics } = await engine.get(`vms/${world.vm2}/nics`)
    const down = await read(`vms/${world.vm2}/nics/${nics[0].id}/statistics`)
    assert.equal(numberOf(down['data.total.rx']), 0)
    assert.equal((await world.viewer.send('GET', at)).code, 200)
  })

  it('T11: what is not there has no body', async () => {
    const none = '00000000-0000-0000-0000-000000000009'
    for (const path of [
      `vms/${world.vm1}/nics/${none}`,
      `vms/${none}`,
      'vms/nonsense',
      `networks/${none}`,
      'nothing',
    ]) {
      const { code, text } = await engine.send('GET', path)
      assert.deepEqual([code, text], [404, ''], path)
    }
    assert.equal((await engine.send('DELETE', 'vnicprofiles')).code, 405)
  })

  it('follows links, of one thing and of each in a list', async () => {
    const { vm } = await engine.get('vms?follow=nics,host.cluster,reported_devices&search=name%3Dvm1')
    assert.deepEqual(
      vm[0].nics.nic.map(({ name }: Any) => name),
      ['default', 'nic1'],
    )
    assert.equal(vm[0].host.cluster.name, 'Default')
    assert.ok(!vm[0].link.some(({ rel }: Any) => rel === 'nics'))
    const one = await engine.get(`vms/${world.vm2}?follow=nics.vnic_profile&all_content=true`)
    assert.equal(one.nics.nic[1].vnic_profile.name, 'blue')
    assert.equal((await engine.refused('GET', 'vms?follow=colours'))[0], 400)
    assert.deepEqual(await engine.get('vms?follow='), await engine.get('vms'))
  })

  it('is the same with a slash at the end, with the version in the path, and with matrix parameters', async () => {
    const plain = await engine.get('vms?max=1')
    for (const path of ['vms/?max=1', 'v4/vms?max=1', 'vms;max=1'])
      assert.deepEqual(await engine.get(path), plain, path)
    assert.equal(plain.vm.length, 1)
    assert.equal((await engine.send('GET', 'vms', { headers: { version: '3' } })).code, 400)
    assert.equal(
      (await engine.send('GET', 'vms', { headers: { version: '4', filter: 'true', 'all-content': 'true' } })).code,
      200,
    )
  })

  it('reads bodies no document type and no nonsense in', async () => {
    const path = `vms/${world.vm1}/nics/${world.nic1}`
    const bodies = [
      '<!DOCTYPE nic [<!ENTITY a "b">]><nic><name>&a;</name></nic>',
      '<nic><name>&undefined;</name></nic>',
      '<nic><name>x</nic>',
      'nonsense',
      '<a>'.repeat(40) + '</a>'.repeat(40),
    ]
    for (const body of bodies) {
      const [code, reason] = await engine.refused('PUT', path, body)
      assert.deepEqual([code, reason], [400, 'Request syntactically incorrect.'], body)
    }
    const large = await engine.send('PUT', path, { body: `<nic><name>${'x'.repeat(4_000_000)}</name></nic>` })
    assert.equal(large.code, 413)
    assert.equal((await engine.get(path)).name, 'nic1')
  })

  it('shows a user what they may see, of VMs in namespaces too', async () => {
    const { cluster } = world
    const { json } = await cluster.api.send('POST', '/api/v1/namespaces/default/serviceaccounts', {
      body: { metadata: { name: 'bot' } },
    })
    assert.equal(json.metadata.name, 'bot')
    assert.deepEqual((await world.viewer.get('vms')).vm.length, 2)
  })

  it('meets no bug of the server', () => assert.deepEqual(world.cluster.errors, []))
})
