import { NotFound } from '../../wire/faults.ts'
import type { Call } from '../call.ts'
import type { Cluster } from '../clusters.ts'
import type { DataCenter, Host, Machine, Network, Profile } from '../world.ts'

/** The thing with the id in a path. @throws NotFound */
function withId<T>(items: readonly T[], id: string | undefined, idOf: (item: T) => string): T {
  const found = items.find((one) => idOf(one) === id?.toLowerCase())
  if (!found) throw new NotFound()
  return found
}

export async function theMachine({ world, params }: Call): Promise<Machine> {
  return withId(await world.machines(), params.vm, ({ vm }) => vm.metadata.uid)
}

export async function theTemplate({ world, params }: Call): Promise<Machine> {
  return withId(await world.templates(), params.template, ({ vm }) => vm.metadata.uid)
}

export async function theNetwork({ world, params }: Call): Promise<Network> {
  return withId(await world.ownNetworks(), params.network, ({ id }) => id)
}

export async function theProfile({ world, params }: Call): Promise<Profile> {
  return withId(await world.profiles(), params.profile, ({ id }) => id)
}

export async function theCluster({ world, params }: Call): Promise<Cluster> {
  return withId(await world.clusters(), params.cluster, ({ id }) => id)
}

export async function theDataCenter({ world, params }: Call): Promise<DataCenter> {
  return withId(await world.dataCenters(), params.datacenter, ({ id }) => id)
}

export async function theHost({ world, params }: Call): Promise<Host> {
  return withId(await world.hosts(), params.host, ({ metadata }) => metadata.uid)
}
