import { ConfigMap } from '#apis/core/configmap.ts'
import { Node } from '#apis/core/node.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { explain } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import type { VirtualFunction } from '#core/pci/functions.ts'
import { parsePools, poolConfigFile, poolConfigKey } from '#core/pci/pool-config.ts'
import { type Pool, type PoolAmounts, poolAmounts, poolsOf } from '#core/pci/pools.ts'
import type { DevicePool } from '#core/pci/taken.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Recorder } from '#machinery/client/recorder.ts'

type Options = Readonly<{
  client: Pick<Client, 'get'>
  nodeName: string
  /** Lists the VFs of this host. */
  functions: () => readonly VirtualFunction[]
  /** The resources that VFs of guests were taken for, by PCI address. */
  taken: () => Promise<ReadonlyMap<string, string>>
  recorder: Recorder
  log: Log
}>

const none: PoolAmounts = { capacity: {}, allocatable: {} }

/** The pools of VFs of a node, as its status has them. A host without VFs has none, and nothing is read or logged for it. */
export class FunctionPools {
  readonly #options: Options
  /** What was reported by Events and still holds. */
  #reported: ReadonlySet<string> = new Set()
  #last = none
  #pools: readonly Pool[] = []

  constructor(options: Options) {
    this.#options = options
  }

  /** How many VFs each pool has now. Without an answer of the server, what was so before. */
  async amounts(): Promise<PoolAmounts> {
    const { functions, taken, client, log } = this.#options
    const all = functions()
    if (!all.length) {
      this.#report([])
      this.#pools = []
      return none
    }
    try {
      const config = await client.get(ConfigMap, poolConfigKey)
      this.#last = this.#amountsBy(config?.data?.[poolConfigFile], all, await taken())
    } catch (error) {
      log.warn({ cause: explain(error) }, 'Cannot read the pools of virtual functions')
    }
    return this.#last
  }

  /** The pool of a resource as it was found last; undefined when this node has none. */
  poolOf(resource: string): DevicePool | undefined {
    const pool = this.#pools.find((one) => one.resource === resource)
    return pool && { resource, addresses: pool.functions.map(({ address }) => address) }
  }

  #amountsBy(
    text: string | undefined,
    all: readonly VirtualFunction[],
    taken: ReadonlyMap<string, string>,
  ): PoolAmounts {
    const { namespace, name } = poolConfigKey
    const { pools: config, errors } = text === undefined ? { pools: [], errors: [] } : parsePools(text)
    const pools = poolsOf(config, all, taken)
    this.#pools = pools
    this.#report([
      ...errors.map((error) => `ConfigMap ${namespace}/${name}, ${poolConfigFile}: ${error}`),
      ...pools.flatMap(({ problems }) => problems),
    ])
    return poolAmounts(pools)
  }

  /** Emits an Event about each problem that is new. */
  #report(problems: readonly string[]): void {
    const { recorder, nodeName } = this.#options
    const node = { apiVersion: apiVersionOf(Node), kind: Node.kind, metadata: { name: nodeName, uid: nodeName } }
    for (const problem of problems)
      if (!this.#reported.has(problem)) recorder(node, 'Warning', 'VirtualFunctionsUnusable', problem)
    this.#reported = new Set(problems)
  }
}
