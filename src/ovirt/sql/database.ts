import { DatabaseSync, type SQLOutputValue } from 'node:sqlite'
import { Fault } from '#base/fault.ts'
import { memoryOf } from '#core/vm/memory.ts'
import type { Client } from '#machinery/client/client.ts'
import { commentAnnotation, descriptionAnnotation } from '../engine/names.ts'
import { cardSpeed, type EngineNic, isSynced, nicsOf } from '../engine/nics/nic.ts'
import { typeCodes } from '../engine/ovf.ts'
import { type Machine, World } from '../engine/world.ts'
import { schema } from './schema.ts'

/** A value of a row. */
export type Cell = SQLOutputValue
/** What a query found. */
export type Found = Readonly<{ columns: readonly string[]; rows: readonly (readonly Cell[])[] }>

/** The engine's states of a link. */
const linkStates = { up: 1, down: 2 } as const

/**
 * The tables of oVirt's engine, filled from the API as its caller sees it. They live in memory: nothing that is done to them changes
 * a VM. Disposing closes them.
 */
export class EngineTables implements Disposable {
  readonly #database = new DatabaseSync(':memory:')

  private constructor() {
    this.#database.exec(schema)
  }

  /** @throws Fault of the API, such as Forbidden for a caller who may not list namespaces or networks */
  static async read(client: Client): Promise<EngineTables> {
    const tables = new EngineTables()
    await tables.#fill(new World(client, client))
    return tables
  }

  /** Runs one query. @throws Fault Invalid for text that is no query, or one that would write */
  query(text: string): Found {
    try {
      this.#database.exec('pragma query_only = 1')
      const statement = this.#database.prepare(text)
      const columns = statement.columns().map(({ name }) => name)
      if (!columns.length) throw new Fault('Invalid', 'The statement answers with no rows; write a select')
      statement.setReturnArrays(true)
      // With arrays for rows, the type of Node's declarations does not follow.
      return { columns, rows: statement.all() as unknown as Cell[][] }
    } catch (cause) {
      if (cause instanceof Fault) throw cause
      throw new Fault('Invalid', 'The query cannot be run', { cause })
    }
  }

  /** Writes the tables to a file of SQLite, which must not be there yet. @throws Fault Invalid */
  export(file: string): void {
    try {
      this.#database.prepare('vacuum into ?').run(file)
    } catch (cause) {
      throw new Fault('Invalid', `Cannot write ${file}`, { cause })
    }
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }

  async #fill(world: World): Promise<void> {
    const [networks, profiles, machines, templates] = await Promise.all([
      world.networks(),
      world.profiles(),
      world.machines(),
      world.templates(),
    ])
    for (const { id, name, description, dataCenter } of networks)
      this.#insert('network', { id, name, description, storage_pool_id: dataCenter.id })
    for (const { id, name, network, isMirroring, comment } of profiles)
      this.#insert('vnic_profiles', {
        id,
        name,
        network_id: network.id,
        description: comment,
        port_mirroring: isMirroring,
      })
    for (const machine of machines) this.#insertVm(machine, 'VM', nicsOf(machine, profiles))
    for (const machine of templates) this.#insertVm(machine, 'TEMPLATE', nicsOf(machine, profiles))
  }

  #insertVm({ vm, vmi, status, cluster }: Machine, entity: string, nics: readonly EngineNic[]): void {
    const { metadata, spec } = vm
    const { cores = 1, sockets = 1, threads = 1 } = spec.template.spec.domain.cpu ?? {}
    const annotations = metadata.annotations ?? {}
    const guid = metadata.uid
    this.#insert('vm_static', {
      ...{ vm_guid: guid, vm_name: metadata.name, entity_type: entity, cluster_id: cluster.id },
      description: annotations[descriptionAnnotation] ?? annotations[commentAnnotation] ?? '',
      mem_size_mb: Math.round((memoryOf(spec.template.spec).bytes ?? 0) / 1024 ** 2),
      ...{ num_of_sockets: sockets, cpu_per_socket: cores, threads_per_cpu: threads },
      creation_date: metadata.creationTimestamp,
    })
    this.#insert('vm_dynamic', { vm_guid: guid, status, run_on_vds: vmi?.status?.nodeName ?? null })
    for (const nic of nics) {
      const seen = vmi?.status?.interfaces?.find(({ name }) => name === nic.interface)?.linkState
      const link = seen === 'up' || seen === 'down' ? linkStates[seen] : 0
      this.#insert('vm_interface', {
        ...{ id: nic.id, vm_guid: guid, mac_addr: nic.mac, name: nic.name, speed: cardSpeed, linked: nic.linked },
        type: nic.type === undefined ? null : typeCodes[nic.type],
        vnic_profile_id: nic.profile?.id ?? null,
        synced: isSynced(nic, vmi),
      })
      this.#insert('vm_device', {
        ...{ device_id: nic.id, vm_id: guid, type: 'interface', is_plugged: nic.plugged, alias: `ua-${nic.interface}` },
        device: nic.type === 'pci_passthrough' ? 'hostdev' : 'bridge',
      })
      this.#insert('vm_interface_statistics', { id: nic.id, vm_id: guid, iface_status: link })
    }
  }

  #insert(table: string, row: Readonly<Record<string, string | number | boolean | null>>): void {
    const values = Object.values(row).map((value) => (typeof value === 'boolean' ? Number(value) : value))
    const names = Object.keys(row)
    const marks = names.map(() => '?')
    this.#database.prepare(`insert into ${table} (${names.join(', ')}) values (${marks.join(', ')})`).run(...values)
  }
}
