import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { download } from '../fetch/download.ts'
import type { Answer, HttpClient } from '../fetch/http-client.ts'
import { plainBytesOf } from '../files/decompress.ts'
import type { Room } from '../files/room.ts'
import { writeSparse } from '../files/sparse-file.ts'
import { type UnpackedDisk, unpackDisk } from '../registry/container-disk.ts'
import type { Blob } from '../registry/manifest.ts'
import type { RemoteImage, Repository } from '../registry/registry.ts'
import type { Checksum } from './checksum.ts'

type OwnHeaders = Readonly<Record<string, string>>

/** What getting an image needs. */
export type GetContext = Readonly<{
  what: string
  /** A folder for files. */
  folder: string
  maxBytes: number
  room: Room
  signal: AbortSignal
  onProgress?: ((done: number, total: number | undefined) => void) | undefined
  /** Times to wait before the next try of a download; for tests. */
  backoffMs?: readonly number[] | undefined
}>

/** Gets the disk out of an image of a registry. */
export async function getFromRegistry(
  repository: Repository,
  { layers }: RemoteImage,
  path: string | undefined,
  context: GetContext,
): Promise<UnpackedDisk> {
  const { what, folder, maxBytes, room, signal, onProgress } = context
  const total = layers.reduce((sum, { size }) => sum + size, 0)
  let before = 0
  const fetchLayer = async ({ digest, size }: Blob): Promise<string> => {
    const hex = digest.slice('sha256:'.length)
    const file = join(folder, `${hex}.part`)
    const expected = { what: `Layer ${digest} of ${what}`, bytes: size, maxBytes, algorithm: 'sha256', digest: hex }
    await download(file, (from) => repository.blob(digest, from, signal), expected, {
      ...{ room, signal },
      ...(context.backoffMs && { backoffMs: context.backoffMs }),
      ...(onProgress && { onProgress: (done: number) => onProgress(before + done, total) }),
    })
    before += size
    return file
  }
  const to = join(folder, 'disk')
  return unpackDisk(layers, fetchLayer, { what, path, to, maxBytes, room, signal })
}

/** Gets a disk from a web server. `version` is what the server calls this version of it. */
export async function getFromUrl(
  http: HttpClient,
  url: URL,
  options: Readonly<{ checksum?: Checksum | undefined; ownHeaders: OwnHeaders }>,
  context: GetContext,
): Promise<UnpackedDisk & Readonly<{ version?: string }>> {
  const { what, folder, maxBytes, room, signal, onProgress } = context
  const file = join(folder, 'download.part')
  const { checksum, ownHeaders } = options
  let version: string | undefined
  const source = async (from: number, validator: string | undefined) => {
    const answer = await http.request(url, {
      headers: {
        ...(from > 0 && { range: `bytes=${from}-` }),
        ...(from > 0 && validator !== undefined && { 'if-range': validator }),
      },
      ...{ ownHeaders, signal },
    })
    version = versionOf(answer.headers)
    return answer
  }
  await download(
    file,
    source,
    { what, maxBytes, ...checksum },
    {
      ...{ room, signal },
      ...(context.backoffMs && { backoffMs: context.backoffMs }),
      ...(onProgress && { onProgress }),
    },
  )
  const to = join(folder, 'disk')
  const disk = await writeSparse(to, plainBytesOf(file, what, signal), { what, maxBytes, room })
  await rm(file)
  return { file: to, digest: disk.digest, ...(version !== undefined && { version }) }
}

/** What a server calls the version of a URL now; undefined when it does not. */
export async function urlVersion(
  http: HttpClient,
  url: URL,
  ownHeaders: OwnHeaders,
  signal: AbortSignal,
): Promise<string | undefined> {
  const answer = await http.request(url, { method: 'HEAD', ownHeaders, signal })
  answer.body.destroy()
  return answer.status === 200 ? versionOf(answer.headers) : undefined
}

function versionOf(headers: Answer['headers']): string | undefined {
  return headers.etag ?? headers['last-modified']
}
