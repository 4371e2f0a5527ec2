import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '#base/wait.ts'
import { freePorts } from '../../../../tools/stage/ports.ts'
import { ended } from '../../../../tools/stage/program.ts'
import { unpacked } from '../../../../tools/stage/unpacked.ts'

/** A registry of this test, Debian's, at `host` (loopback, without TLS). */
export type TestRegistry = Readonly<{ host: string; folder: string; close(): Promise<void> }>

/** Starts a registry over a folder of its own; `close` ends it and removes the folder. */
export async function startRegistry(): Promise<TestRegistry> {
  const program = await provideRegistry()
  const folder = await mkdtemp(join(tmpdir(), 'pb-registry-'))
  const [port] = await freePorts(1)
  const host = `127.0.0.1:${port}`
  const config = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    http: { addr: host },
  }
  await writeFile(join(folder, 'config.yml'), JSON.stringify(config))
  // It ends with the tests, however these end.
  const serve = ['--pdeathsig', 'KILL', program, 'serve', join(folder, 'config.yml')]
  const child = spawn('setpriv', serve, { stdio: 'ignore' })
  const close = async () => {
    await ended(child)
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await eventually('the registry answers', async () => (await fetch(`http://${host}/v2/`)).ok, { everyMs: 20 })
  } catch (error) {
    await close()
    throw error
  }
  return { host, folder, close }
}

/** Debian's registry, unpacked and not installed: its package would start a service. */
export async function provideRegistry(): Promise<string> {
  return `${await unpacked('docker-registry')}/usr/bin/docker-registry`
}

/** Sends a blob to a registry and returns how a manifest names it. */
export async function pushBlob(host: string, repository: string, body: Buffer) {
  const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
  const begin = await fetch(`http://${host}/v2/${repository}/blobs/uploads/`, { method: 'POST' })
  const to = new URL(begin.headers.get('location') ?? '', `http://${host}`)
  to.searchParams.set('digest', digest)
  const headers = { 'content-type': 'application/octet-stream' }
  const put = await fetch(to, { method: 'PUT', body: new Uint8Array(body), headers })
  if (put.status !== 201) throw new Error(`The registry took no blob: ${put.status} ${await put.text()}`)
  return { digest, size: body.length }
}

const types = {
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
}

/** Sends an image of layers, lowest first, and returns how an index names it. Without a tag it has its digest only. */
export async function pushImage(host: string, repository: string, layers: readonly Buffer[], tag?: string) {
  const config = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs: { type: 'layers' } }),
  )
  const pushed = []
  for (const layer of layers) pushed.push({ mediaType: types.layer, ...(await pushBlob(host, repository, layer)) })
  const manifest = {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, ...(await pushBlob(host, repository, config)) },
    layers: pushed,
  }
  return pushManifest(host, repository, manifest, tag)
}

type Pushed = Readonly<{ mediaType: string; digest: string; size: number }>

/** Sends an index of images by `OS/ARCHITECTURE`. */
export async function pushIndex(host: string, repository: string, images: ReadonlyMap<string, Pushed>, tag: string) {
  const manifests = [...images].map(([platform, image]) => {
    const [os, architecture] = platform.split('/')
    return { ...image, platform: { os, architecture } }
  })
  return pushManifest(host, repository, { schemaVersion: 2, mediaType: types.index, manifests }, tag)
}

async function pushManifest(
  host: string,
  repository: string,
  manifest: Readonly<{ mediaType: string } & Record<string, unknown>>,
  tag: string | undefined,
): Promise<Pushed> {
  const body = JSON.stringify(manifest)
  const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
  const { mediaType } = manifest
  const headers = { 'content-type': mediaType }
  const url = `http://${host}/v2/${repository}/manifests/${tag ?? digest}`
  const put = await fetch(url, { method: 'PUT', body, headers })
  if (put.status !== 201) throw new Error(`The registry took no manifest: ${put.status} ${await put.text()}`)
  return { mediaType, digest, size: Buffer.byteLength(body) }
}

/** A sparse file with some bytes in it. */
export async function writeDisk(path: string, bytes: number, content: ReadonlyMap<number, Buffer>): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (const [at, data] of content) await file.write(data, 0, data.length, at)
    await file.truncate(bytes)
  } finally {
    await file.close()
  }
}
