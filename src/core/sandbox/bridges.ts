/** Whether a link of the kernel may have a name; what a configuration calls a bridge may be anything. */
export function isLinkName(name: unknown): name is string {
  return typeof name === 'string' && /^[A-Za-z0-9_.-]{1,15}$/.test(name) && name !== '.' && name !== '..'
}

/**
 * Bridges of the host that exist because of Patchbay, by name, each with the network it was made for. It is a Map because a
 * bridge may be called like a property of every object.
 */
export type OwnBridges = ReadonlyMap<string, string>

/**
 * Patchbay's bridges once a CNI configuration of `network` has made those in `names`. A bridge that is present before belongs to
 * another program.
 */
export function withClaimed(
  own: OwnBridges,
  names: readonly string[],
  network: string,
  present: Pick<ReadonlyMap<string, unknown>, 'has'>,
): OwnBridges {
  const fresh = names.filter((name) => !own.has(name) && !present.has(name))
  return fresh.length ? new Map([...own, ...fresh.map((name) => [name, network] as const)]) : own
}

/**
 * Plans the cleanup of Patchbay's bridges: unused ones without a port are removed, and those that no longer exist are forgotten.
 * `links` are all links of the host, `isUnused` says that no sandbox needs a network.
 */
export function planSweep(
  own: OwnBridges,
  links: ReadonlyMap<string, Readonly<{ master?: string }>>,
  isUnused: (network: string) => boolean,
): Readonly<{ remove: readonly string[]; kept: OwnBridges }> {
  const busy = new Set([...links.values()].map(({ master }) => master))
  const kept = new Map([...own].filter(([name, network]) => busy.has(name) || !isUnused(network)))
  return { remove: [...own.keys()].filter((name) => !kept.has(name) && links.has(name)), kept }
}
