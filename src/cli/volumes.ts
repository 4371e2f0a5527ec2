import { DataVolume } from '#apis/cdi/datavolume.ts'
import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { faultKind } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import { type Context, ExitError } from './context.ts'
import { bodyOf, orEnd, pathOf } from './virtctl.ts'

export type AddVolumeOptions = Readonly<{
  volumeName: string
  diskName?: string
  serial?: string
  cache?: string
  bus?: string
  diskType?: string
  dryRun?: boolean
}>

const buses = ['scsi', 'virtio']
const diskTypes = ['disk', 'lun']

/**
 * `addvolume` of virtctl: plugs the DataVolume of a name, or else the claim, into a VM, or into an instance that no VM has.
 * @throws ExitError in virtctl's words
 */
export async function addVolume(context: Context, vm: string, options: AddVolumeOptions): Promise<void> {
  const { print } = context
  const { volumeName, diskName, serial = volumeName, cache, bus = 'scsi', diskType = 'disk', dryRun = false } = options
  const body = bodyOf(print, dryRun)
  if (!diskTypes.includes(diskType)) throw new ExitError(1, `${prefixes.addvolume}invalid disk type ${diskType}`)
  if (!buses.includes(bus)) throw new ExitError(1, `${prefixes.addvolume}invalid bus ${bus} for type ${diskType}`)
  const name = diskName ?? volumeName
  const disk = { name, [diskType]: { bus }, serial, ...(cache !== undefined && { cache }) }
  const volumeSource = await sourceOf(context, volumeName)
  await change(context, vm, 'addvolume', { ...body, name, disk, volumeSource })
  print.line(`Successfully submitted add volume request to VM ${vm} for volume ${volumeName}`)
}

async function sourceOf({ client, namespace }: Context, name: string): Promise<JsonObject> {
  const key = { namespace, name }
  if (await orEnd(prefixes.addvolume, () => client.get(DataVolume, key))) return { dataVolume: { name } }
  if (await orEnd(prefixes.addvolume, () => client.get(PersistentVolumeClaim, key)))
    return { persistentVolumeClaim: { claimName: name } }
  throw new ExitError(1, `${prefixes.addvolume}Volume ${name} is not a DataVolume or PersistentVolumeClaim`)
}

/** `removevolume` of virtctl. @throws ExitError in virtctl's words */
export async function removeVolume(
  context: Context,
  vm: string,
  { volumeName: name, dryRun = false }: Pick<AddVolumeOptions, 'volumeName' | 'dryRun'>,
): Promise<void> {
  const { print } = context
  await change(context, vm, 'removevolume', { ...bodyOf(print, dryRun), name })
  print.line(`Successfully submitted remove volume request to VM ${vm} for volume ${name}`)
}

const prefixes = { addvolume: 'error adding volume, ', removevolume: 'error removing volume, ' } as const

/** Calls the verb of a VM; of an instance when there is no VM of that name. */
function change(
  { client, namespace }: Context,
  name: string,
  verb: keyof typeof prefixes,
  body: JsonObject,
): Promise<unknown> {
  const call = (plural: string) => client.call('PUT', pathOf(namespace, plural, name, verb), body)
  return orEnd(prefixes[verb], async () => {
    try {
      return await call('virtualmachines')
    } catch (error) {
      if (faultKind(error) !== 'NotFound') throw error
      return call('virtualmachineinstances')
    }
  })
}
