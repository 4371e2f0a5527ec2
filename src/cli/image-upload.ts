import { stat } from 'node:fs/promises'
import { DataVolume } from '#apis/cdi/datavolume.ts'
import { UploadTokenRequest } from '#apis/cdi/uploadtokenrequest.ts'
import { apiVersionOf, type Stored } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject } from '#base/json.ts'
import { eventually } from '#base/wait.ts'
import { dataVolumeFailure, dataVolumeWait } from '#core/disk/data-volumes.ts'
import type { Context } from './context.ts'

export type UploadOptions = Readonly<{
  imagePath: string
  size?: string
  storageClass?: string
  accessMode?: string
  volumeMode?: string
  noCreate: boolean
  waitMs: number
}>

/** Sends a file to the path of a server. */
export type SendFile = (
  path: string,
  how: Readonly<{ token: string; file: string; bytes: number; signal: AbortSignal }>,
) => Promise<void>

const path = '/v1beta1/upload-async'

/** How often the DataVolume is looked at, milliseconds. */
const everyMs = 200

/**
 * Makes a DataVolume of a file of this computer, with virtctl's texts.
 * @throws Fault Invalid, Conflict, Timeout, and those of the server
 */
export async function uploadImage(
  context: Context,
  name: string,
  options: UploadOptions,
  send: SendFile,
  signal: AbortSignal,
): Promise<void> {
  const { client, namespace, print } = context
  const file = options.imagePath
  const bytes = await sizeOf(file)
  await provide(context, name, options)
  print.line(`Waiting for PVC ${name} upload pod to be ready...`)
  const { waitMs: deadlineMs } = options
  await phaseOf(context, name, 'UploadReady', { deadlineMs, signal })
  print.line('Pod now ready')
  const [where, kind] = [encodeURIComponent(namespace), UploadTokenRequest]
  const request = { apiVersion: apiVersionOf(kind), kind: kind.kind, metadata: { namespace }, spec: { pvcName: name } }
  const answer = await client.call('POST', `/apis/${apiVersionOf(kind)}/namespaces/${where}/${kind.plural}`, request)
  const { token } = (isObject(answer) && isObject(answer.status) && answer.status) || {}
  if (typeof token !== 'string') throw new Fault('Internal', 'The server sent no token for the upload')
  print.line(`Uploading data to ${namespace}/${name}`)
  await send(path, { token, file, bytes, signal })
  print.line(
    'Uploading data completed successfully, waiting for processing to complete, you can hit ctrl-c without interrupting the progress',
  )
  await phaseOf(context, name, 'Succeeded', { deadlineMs, signal })
  print.line('Processing completed successfully')
  print.line(`Uploading ${file} completed successfully`)
}

/** @throws Fault Invalid */
async function sizeOf(file: string): Promise<number> {
  const found = await stat(file).catch((cause: unknown) => {
    throw new Fault('Invalid', `--image-path ${file} cannot be read`, { cause })
  })
  if (found.isFile() && found.size > 0) return found.size
  throw new Fault('Invalid', `--image-path ${file} is no file with anything in it; give the file of a disk image`)
}

/** Finds the DataVolume, or makes it. */
async function provide({ client, namespace, print }: Context, name: string, options: UploadOptions): Promise<void> {
  const found = await client.get(DataVolume, { namespace, name })
  if (found?.status?.phase === 'Succeeded')
    throw new Fault('Conflict', `DataVolume ${namespace}/${name} already has its disk; take another name, or delete it`)
  if (found && !found.spec.source?.upload)
    throw new Fault('Conflict', `DataVolume ${namespace}/${name} is not made for uploads; take another name`)
  if (found) return print.line(`Using existing DataVolume ${namespace}/${name}`)
  if (options.noCreate) throw new Fault('NotFound', `DataVolume ${namespace}/${name} not found`)
  const { size, storageClass, accessMode, volumeMode } = options
  if (size === undefined) throw new Fault('Invalid', 'Give the size of the disk by --size, such as --size=10Gi')
  await client.create(DataVolume, {
    apiVersion: apiVersionOf(DataVolume),
    kind: DataVolume.kind,
    metadata: { name, namespace },
    spec: {
      source: { upload: {} },
      storage: {
        resources: { requests: { storage: size } },
        ...(storageClass !== undefined && { storageClassName: storageClass }),
        ...(accessMode !== undefined && { accessModes: [accessMode] }),
        ...(volumeMode !== undefined && { volumeMode: volumeMode === 'block' ? 'Block' : 'Filesystem' }),
      },
    },
  })
  print.line(`PVC ${namespace}/${name} not found`)
  print.line(`DataVolume ${namespace}/${name} created`)
}

/** Waits for a phase. @throws Fault Timeout that says what is waited for, NotFound, Aborted */
async function phaseOf(
  { client, namespace }: Context,
  name: string,
  phase: 'UploadReady' | 'Succeeded',
  how: Readonly<{ deadlineMs: number; signal: AbortSignal }>,
): Promise<void> {
  let seen: Stored<DataVolume> | undefined
  const look = async () => {
    seen = await client.get(DataVolume, { namespace, name })
    if (!seen) throw new Fault('NotFound', `DataVolume ${namespace}/${name} was deleted`)
    return seen.status?.phase === phase || undefined
  }
  try {
    await eventually(`DataVolume ${name} is ${phase}`, look, { ...how, everyMs })
  } catch (error) {
    if (!(error instanceof Fault) || error.kind !== 'Timeout' || !seen) throw error
    const why = dataVolumeFailure(seen) ?? dataVolumeWait(seen)
    throw new Fault(
      'Timeout',
      `DataVolume ${namespace}/${name} is ${seen.status?.phase ?? 'Pending'} and not ${phase} after ${how.deadlineMs / 1000} s${why ? `: ${why}` : ''}; see kubectl describe dv ${name}`,
    )
  }
}
