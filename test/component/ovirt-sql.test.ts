import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, it } from 'node:test'
import type { Any } from './api.ts'
import { startCli } from './cli-kit.ts'
import { type EngineWorld, startEngine } from './engine.ts'

/** The columns of the engine's view, in its order (create_views.sql). */
const columns =
  'rx_rate tx_rate rx_drop tx_drop rx_total rx_offset tx_total tx_offset iface_status sample_time type speed mac_addr synced network_name name vnic_profile_id vm_guid vm_name id boot_protocol is_vds is_plugged custom_properties port_mirroring linked cluster_id vm_entity_type vnic_profile_name qos_name failover_vnic_profile_name'.split(
    ' ',
  )

describe('patchbay sql', () => {
  let world: EngineWorld
  before(async () => {
    world = await startEngine()
  })
  after(() => world?.stop())

  const sql = (...args: string[]) => startCli(world.cluster, ['sql', ...args]).ended
  const rows = async (query: string): Promise<Any[]> => {
    const { code, out, err } = await sql(query, '-o', 'json')
    assert.equal(code, 0, err)
    return JSON.parse(out)
  }

  it('T45: the view of interfaces says what the API says, as things change', async () => {
    const query = 'select vm_name, name, linked, is_plugged from vm_interface_view order by vm_name, name'
    const at = `vms/${world.vm1}/nics/${world.nic1}`
    await world.engine.put(at, { linked: 'false' })
    assert.deepEqual(await rows(query), [
      { vm_name: 'vm1', name: 'default', linked: 1, is_plugged: 1 },
      { vm_name: 'vm1', name: 'nic1', linked: 0, is_plugged: 1 },
      { vm_name: 'vm2', name: 'default', linked: 1, is_plugged: 1 },
      { vm_name: 'vm2', name: 'nic1', linked: 1, is_plugged: 1 },
    ])
    await world.engine.post(`${at}/deactivate`)
    const [cut] = await rows(
      "select linked, is_plugged, iface_status, synced from vm_interface_view where vm_name='vm1' and name='nic1'",
    )
    assert.deepEqual(cut, { linked: 0, is_plugged: 0, iface_status: 0, synced: 1 })
    await world.engine.put(at, { linked: 'true', plugged: 'true' })
    const found = await rows(
      "select network_name, vnic_profile_name, type, iface_status, mac_addr, id from vm_interface_view where vm_name='vm1' and name='nic1'",
    )
    const { mac } = await world.engine.get(at)
    assert.deepEqual(found, [
      {
        network_name: 'blue',
        vnic_profile_name: 'blue',
        type: 3,
        iface_status: 1,
        mac_addr: mac.address,
        id: world.nic1,
      },
    ])
  })

  it('the view has the engine’s columns in the engine’s order, of templates too', async () => {
    const template = await world.engine.post('templates', { name: 'mould', vm: { id: world.vm2 } })
    const { out } = await sql("select * from vm_interface_view where vm_entity_type = 'TEMPLATE'", '-o', 'csv')
    const [head, ...lines] = out.trim().split('\n')
    assert.deepEqual(head?.split(','), columns)
    assert.equal(columns.length, 31)
    assert.equal(lines.length, 2)
    assert.match(lines[1] ?? '', /,mould,/)
    await world.engine.remove(`templates/${template.id}`)
  })

  it('prints a table, comma separated values, or JSON', async () => {
    const query = "select vm_name, description, mem_size_mb from vm_static where vm_name = 'vm1'"
    await world.engine.put(`vms/${world.vm1}`, { description: 'a "quoted", one' })
    assert.equal((await sql(query)).out, 'vm_name   description       mem_size_mb\nvm1       a "quoted", one   128\n')
    assert.equal((await sql(query, '-o', 'csv')).out, 'vm_name,description,mem_size_mb\nvm1,"a ""quoted"", one",128\n')
    assert.deepEqual(JSON.parse((await sql(query, '-o', 'json')).out), [
      { vm_name: 'vm1', description: 'a "quoted", one', mem_size_mb: 128 },
    ])
  })

  it('exports the tables to a file that is not there yet', async () => {
    const file = join(world.cluster.dir.root, 'engine.db')
    assert.equal((await sql('--export', file)).code, 0)
    const database = new DatabaseSync(file, { readOnly: true })
    assert.equal(database.prepare('select count(*) as n from vm_interface_view').get()?.n, 4)
    database.close()
    const again = await sql('--export', file)
    assert.equal(again.code, 2)
    assert.match(again.err, /Cannot write .*engine\.db/)
  })

  it('is for reading: what would write, and what is no query, is refused in words', async () => {
    const wrong: [string, RegExp][] = [
      ['delete from vm_static', /answers with no rows; write a select/],
      ['drop table vm_static', /answers with no rows/],
      ['select nonsense', /The query cannot be run: no such column: nonsense/],
      ["attach '/tmp/pb-attached.db' as a", /answers with no rows/],
      [
        'insert into vm_static (vm_guid) values (1) returning *',
        /The query cannot be run: attempt to write a readonly database/,
      ],
    ]
    for (const [query, text] of wrong) {
      const { code, err } = await sql(query)
      assert.equal(code, 2, query)
      assert.match(err, text)
    }
    assert.equal(existsSync('/tmp/pb-attached.db'), false)
    const none = await sql()
    assert.deepEqual([none.code, none.err], [2, 'patchbay: Give a query, or a file with --export\n'])
  })
})
