import { readFile, stat } from 'node:fs/promises'
import { Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { table } from '#cli/table.ts'
import { dockerCredentials } from '#core/disk/docker-config.ts'
import type { DiskImage, RegistryCredentials } from '#core/ports.ts'
import { buildDemoImage, ImageFolder } from '#drivers/image/folder.ts'
import { ImageInventory } from '#drivers/image/store/inventory.ts'
import { age } from '#machinery/rest/table.ts'
import { asSentence, createDataDir, type DataDir, dataDirAt } from './data-dir.ts'
import { diskImagesOf } from './disk-images.ts'
import type { DownloadOptions } from './image-options.ts'
import { hearInterrupts } from './interrupts.ts'
import { bytesText, Progress } from './progress.ts'

type Print = (line: string) => void
type InDir = Readonly<{ dataDir: string; log: Log }>

/** Runs work in a data directory, which is made if it is not there. */
async function inDataDir<T>({ dataDir, log }: InDir, work: (dir: DataDir) => Promise<T>): Promise<T> {
  const dir = await createDataDir(dataDirAt(dataDir), log)
  return asSentence(dir.root, () => work(dir))
}

type PullOptions = InDir &
  Readonly<{
    downloads: DownloadOptions
    name?: string
    checksum?: string
    path?: string
    always: boolean
    authFile?: string
  }>

/** `patchbay image pull`. */
export async function pullImage(reference: string, options: PullOptions, print: Print): Promise<void> {
  const { downloads, name, checksum, path, always, authFile } = options
  const credentials = authFile === undefined ? undefined : await credentialsIn(authFile)
  await inDataDir(options, async (dir) => {
    const images = await diskImagesOf(dir, downloads)
    if (name !== undefined) await refuseKernel(dir, name)
    const progress = new Progress(process.stderr)
    const pull = {
      reference,
      isAlways: always,
      onProgress: progress.show,
      ...(path !== undefined && { path }),
      ...(checksum !== undefined && { checksum }),
      ...(credentials && { credentials }),
    }
    const image = await images.pull(pull, hearInterrupts().signal).finally(() => progress.end())
    if (name !== undefined) await images.name(name, image.digest)
    print(readyText(name ?? reference, image))
  })
}

async function credentialsIn(authFile: string): Promise<RegistryCredentials> {
  const credentials = dockerCredentials(await textOf('--auth-file', authFile))
  if (credentials) return credentials
  throw new Fault('Invalid', `${authFile} is no Docker config: it is JSON with auths, as docker login writes it`)
}

async function textOf(option: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new Fault('Invalid', `${option} ${file} cannot be read`, { cause })
  }
}

function readyText(name: string, { digest, format, virtualBytes }: DiskImage): string {
  return `Image ${name} is ready: ${format}, ${bytesText(virtualBytes)}, sha256:${digest}`
}

/** `patchbay image import`: what a folder becomes is an image for kernelBoot, what a file becomes a disk. */
export async function importImage(name: string, from: string, options: InDir, print: Print): Promise<void> {
  const entry = await stat(from).catch((cause: unknown) => {
    throw new Fault('Invalid', `${from} cannot be read`, { cause })
  })
  await inDataDir(options, async (dir) => {
    if (entry.isFile()) {
      await refuseKernel(dir, name)
      const disks = await diskImagesOf(dir)
      print(readyText(name, await disks.import(name, from, hearInterrupts().signal)))
      return
    }
    if (await new ImageInventory(dir.images).named(name))
      throw new Fault('Invalid', `${name} is the name of a disk image; remove that first, or give another name`)
    await new ImageFolder(dir.images).import(name, from)
    print(kernelText(name))
  })
}

function kernelText(name: string): string {
  return `Image ${name} is ready: use it as spec.domain.firmware.kernelBoot.container.image`
}

/** @throws Fault Invalid for the name of a kernel image */
async function refuseKernel(dir: DataDir, name: string): Promise<void> {
  if (await new ImageFolder(dir.images).has(name))
    throw new Fault(
      'Invalid',
      `${name} is the name of an image for kernelBoot; remove that first, or give another name`,
    )
}

/** `patchbay image build-demo`. */
export async function buildDemo(options: InDir, print: Print): Promise<void> {
  await inDataDir(options, async (dir) => {
    await buildDemoImage(dir, options.log)
    print(kernelText('demo-guest'))
  })
}

/** How much of a digest is shown. */
const shortDigest = 12

/** `patchbay image list`. */
export async function listImages(dataDir: string, print: Print): Promise<void> {
  const dir = dataDirAt(dataDir)
  const disks = await new ImageInventory(dir.images).list()
  const now = Date.now()
  const diskRows = disks.flatMap(({ references, digest, format, virtualBytes, usedBytes, isUsed, ...image }) => {
    const names = references.map(({ reference, path }) => (path === undefined ? reference : `${reference} ${path}`))
    const rest = [
      ...[format, bytesText(virtualBytes), bytesText(usedBytes), digest.slice(0, shortDigest)],
      ...[age(now - image.created), isUsed ? 'yes' : 'no'],
    ]
    return (names.length ? names : ['<none>']).map((name) => [name, ...rest])
  })
  const kernels = await new ImageFolder(dir.images).list()
  const kernelRows = kernels.map(({ name, bytes, time, isUsed }) => [
    ...[name, 'kernel', '-', bytesText(bytes), '-', age(now - time), isUsed ? 'yes' : 'no'],
  ])
  const rows = [...diskRows, ...kernelRows].sort(([a = ''], [b = '']) => a.localeCompare(b))
  for (const line of table(['NAME', 'FORMAT', 'SIZE', 'DISK', 'DIGEST', 'AGE', 'USED'], rows)) print(line)
}

/** `patchbay image remove`. */
export async function removeImage(
  name: string,
  { dataDir, isForced }: Readonly<{ dataDir: string; isForced: boolean }>,
  print: Print,
): Promise<void> {
  const dir = dataDirAt(dataDir)
  await asSentence(dir.root, async () => {
    const kernels = new ImageFolder(dir.images)
    if (await kernels.has(name)) {
      await kernels.remove(name, isForced)
      print(`Removed ${name}`)
    } else print(`Removed ${await new ImageInventory(dir.images).remove(name, isForced)}`)
  })
}

/** `patchbay image prune`. */
export async function pruneImages(
  { dataDir, olderThan, all }: Readonly<{ dataDir: string; olderThan: string; all: boolean }>,
  print: Print,
): Promise<void> {
  const dir = dataDirAt(dataDir)
  const olderThanMs = all ? 0 : timeOf('--older-than', olderThan)
  const gone = await asSentence(dir.root, async () =>
    new ImageInventory(dir.images).prune({ olderThanMs, hasImported: all }),
  )
  for (const { digest, references } of gone)
    print(`Removed sha256:${digest}${references.map(({ reference }) => ` ${reference}`).join('')}`)
  const bytes = gone.reduce((sum, { usedBytes }) => sum + usedBytes, 0)
  print(`${gone.length} image${gone.length === 1 ? '' : 's'} removed, ${bytesText(bytes)} freed`)
}

const timeUnits: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A long time, such as 30d, in milliseconds. @throws Fault Invalid */
function timeOf(option: string, text: string): number {
  const [, count, unit = ''] = /^(\d{1,5})([mhd])$/.exec(text) ?? []
  const ms = timeUnits[unit]
  if (count !== undefined && ms !== undefined) return Number(count) * ms
  throw new Fault('Invalid', `${option} ${text} is no time; write it like 90m, 12h or 30d`)
}
