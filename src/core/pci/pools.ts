import { unusable, type VirtualFunction } from './functions.ts'
import { isSelected, type PoolConfig } from './pool-config.ts'

/** A pool on one host. */
export type Pool = Readonly<{
  /** `PREFIX/NAME`. */
  resource: string
  /** Those that can be given to guests, by address. */
  functions: readonly VirtualFunction[]
  /** Sentences about those that cannot. */
  problems: readonly string[]
}>

/**
 * The pools of a host. A VF is in the first pool that selects it. One that a guest has is bound to vfio-pci and stays in the pool
 * that it was taken from; `taken` says which that is.
 */
export function poolsOf(
  config: readonly PoolConfig[],
  functions: readonly VirtualFunction[],
  taken: ReadonlyMap<string, string> = new Map(),
): Pool[] {
  const poolOf = (vf: VirtualFunction) =>
    taken.get(vf.address) ?? config.find(({ selectors }) => isSelected(vf, selectors))?.resource
  const byPool = Map.groupBy(functions, poolOf)
  return config.map(({ resource }) => {
    const own = (byPool.get(resource) ?? []).toSorted((a, b) => (a.address < b.address ? -1 : 1))
    return {
      resource,
      functions: own.filter((vf) => unusable(vf) === undefined),
      problems: own.flatMap((vf) => unusable(vf) ?? []),
    }
  })
}

/** Extended resources of a Node by name: how many VFs a pool has, and how many of these can be given to guests. */
export type PoolAmounts = Readonly<Record<'capacity' | 'allocatable', Readonly<Record<string, string>>>>

/** What a Node says of its pools. */
export function poolAmounts(pools: readonly Pool[]): PoolAmounts {
  const count = (of: (pool: Pool) => number) =>
    Object.fromEntries(pools.map((pool) => [pool.resource, String(of(pool))]))
  return {
    capacity: count(({ functions, problems }) => functions.length + problems.length),
    allocatable: count(({ functions }) => functions.length),
  }
}
