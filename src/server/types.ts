import { VirtualMachineClusterInstancetype, VirtualMachineInstancetype } from '#apis/instancetype/instancetype.ts'
import { VirtualMachineClusterPreference, VirtualMachinePreference } from '#apis/instancetype/preference.ts'
import type { Log } from '#base/log.ts'
import { type FindTypes, findTypes, type LookUps } from '#core/instancetype/matcher.ts'
import type { Client } from '#machinery/client/client.ts'
import { makeInformer } from '#machinery/client/informer.ts'

/** Caches of instance types and preferences, by which admission and controllers find what a VM names. */
export type TypeCaches = Readonly<{
  synced: Promise<unknown>
  find: FindTypes
  /** Called when any of them has changed. */
  onChange(listener: () => void): void
}>

export function followTypes(client: Client, options: Readonly<{ log: Log; signal: AbortSignal }>): TypeCaches {
  const instancetypes = makeInformer(client, VirtualMachineInstancetype, {}, options)
  const clusterInstancetypes = makeInformer(client, VirtualMachineClusterInstancetype, {}, options)
  const preferences = makeInformer(client, VirtualMachinePreference, {}, options)
  const clusterPreferences = makeInformer(client, VirtualMachineClusterPreference, {}, options)
  const all = [instancetypes, clusterInstancetypes, preferences, clusterPreferences]
  const lookUps: LookUps = {
    instancetype: (key) => (key.namespace === undefined ? clusterInstancetypes : instancetypes).get(key),
    preference: (key) => (key.namespace === undefined ? clusterPreferences : preferences).get(key),
  }
  return {
    synced: Promise.all(all.map((one) => one.synced)),
    find: (vm) => findTypes(vm, lookUps),
    onChange: (listener) => {
      for (const one of all) one.onChange(() => listener())
    },
  }
}
