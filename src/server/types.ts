import { VirtualMachineClusterInstancetype, VirtualMachineInstancetype } from '#apis/instancetype/instancetype.ts'
import { VirtualMachineClusterPreference, VirtualMachinePreference } from '#apis/instancetype/preference.ts'
import type { Log } from '#base/log.ts'
import { type FindTypes, findTypes } from '#core/instancetype/matcher.ts'
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
  const byKind = {
    [VirtualMachineInstancetype.plural]: instancetypes,
    [VirtualMachineClusterInstancetype.plural]: clusterInstancetypes,
    [VirtualMachinePreference.plural]: preferences,
    [VirtualMachineClusterPreference.plural]: clusterPreferences,
  }
  const all = Object.values(byKind)
  return {
    synced: Promise.all(all.map((one) => one.synced)),
    find: (vm) =>
      findTypes(vm, ({ plural }, namespace, name) =>
        byKind[plural]?.get({ name, ...(namespace !== undefined && { namespace }) }),
      ),
    onChange: (listener) => {
      for (const one of all) one.onChange(() => listener())
    },
  }
}
