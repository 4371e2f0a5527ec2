import { createHash } from 'node:crypto'
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Fault } from '#base/fault.ts'
import { exists } from '#base/file.ts'
import type { Log } from '#base/log.ts'
import { downloadPackages, ensureKnown, listDependencies, run, unpack } from './debian.ts'
import { guestFiles } from './guest-files.ts'
import { dependenciesOf, loadOrder, wantedModules } from './modules.ts'
import { type Entry, packNewc } from './newc.ts'

/** What a guest is made of: the package that depends on its kernel, and the modules that it loads. */
export type GuestKernel = Readonly<{ package: string; modules: readonly string[] }>

const usualKernel: GuestKernel = { package: 'linux-image-cloud-amd64', modules: wantedModules }
const toolPackages = ['busybox-static', 'qemu-guest-agent'] as const
const agentPath = 'usr/sbin/qemu-ga'

/** Where an image records its recipe. */
const recipeFile = 'recipe'

/** Options for building; all have defaults. */
export type BuildOptions = Readonly<{
  /** Where downloaded packages are kept. Without it they are deleted. */
  cacheDir?: string
  /** Another kernel, for guests with other hardware. */
  kernel?: GuestKernel
  signal?: AbortSignal
}>

/**
 * Builds the demo guest: `dir/vmlinuz` and `dir/initrd.img`, from Debian's cloud kernel, busybox and guest agent. A finished
 * image of the same recipe is kept; a new one replaces it atomically.
 * @throws Fault Unavailable when packages cannot be downloaded, Unsupported on another architecture.
 */
export async function buildDemoGuest(dir: string, log: Log, options: BuildOptions = {}): Promise<void> {
  const { signal, kernel = usualKernel } = options
  if (await isCurrent(dir, kernel)) return
  const architecture = (await run(['dpkg', '--print-architecture'])).trim()
  if (architecture !== 'amd64')
    throw new Fault('Unsupported', `The demo guest is made for amd64, this is ${architecture}`)
  await mkdir(dirname(resolve(dir)), { recursive: true })
  const work = await mkdtemp(`${resolve(dir)}.new-`)
  try {
    const cacheDir = resolve(options.cacheDir ?? join(work, 'packages'))
    const root = join(work, 'root')
    log.info({ dir, cacheDir }, 'Downloading packages for the demo guest')
    await unpackAll(root, cacheDir, kernel, signal)
    log.info({ dir }, 'Packing the demo guest')
    const image = join(work, 'image')
    await mkdir(image)
    await pack(root, image, kernel)
    signal?.throwIfAborted()
    await replaceFolder(image, resolve(dir), work)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** Whether a folder has the image of this version's recipe. */
export async function isCurrent(dir: string, kernel: GuestKernel = usualKernel): Promise<boolean> {
  try {
    await Promise.all([access(join(dir, 'vmlinuz')), access(join(dir, 'initrd.img'))])
    return (await readFile(join(dir, recipeFile), 'utf8')) === recipe(kernel)
  } catch {
    return false
  }
}

/** Changes with our own parts of the image; Debian's updates do not make an image outdated. */
function recipe(kernel: GuestKernel): string {
  const parts = [kernel.package, toolPackages, kernel.modules, guestFiles]
  return `${createHash('sha256').update(JSON.stringify(parts)).digest('hex')}\n`
}

async function unpackAll(
  root: string,
  cacheDir: string,
  { package: kernelPackage }: GuestKernel,
  signal: AbortSignal | undefined,
): Promise<void> {
  await ensureKnown(kernelPackage, signal)
  const kernel = (await listDependencies([kernelPackage])).find((name) => name.startsWith('linux-image-'))
  if (!kernel) throw new Fault('Unavailable', `${kernelPackage} names no kernel`)
  const fetch = async (names: readonly string[]) => {
    for (const file of await downloadPackages(names, cacheDir, signal)) await unpack(file, root)
  }
  await fetch([kernel, ...toolPackages])
  // The agent's libraries are in the packages it depends on, or in those they depend on.
  const seen = new Set<string>(['qemu-guest-agent'])
  for (let round = ['qemu-guest-agent']; (await librariesOf(root)) === undefined; ) {
    const next = (await listDependencies(round)).filter((name) => !seen.has(name))
    round = [...new Set(next)]
    if (round.length === 0) throw new Fault('Unavailable', 'The guest agent needs a library that no package of its has')
    for (const name of round) seen.add(name)
    await fetch(round)
  }
}

/** The libraries the agent needs, relative to root, or undefined while one is missing. */
async function librariesOf(root: string): Promise<readonly string[] | undefined> {
  const loader = await findIn(root, loaderPath)
  const folders = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu'].map((folder) => join(root, folder))
  if (loader === undefined) return undefined
  // The loader itself lists what it would load, as ldd does.
  const env = { LD_TRACE_LOADED_OBJECTS: '1' }
  const text = await run([loader, '--library-path', folders.join(':'), join(root, agentPath)], { env })
  const paths = [...text.matchAll(/^\s+\S+ => (\S+)/gm)].map((match) => match[1] ?? '')
  // A library that is missing, or found on this host instead, has not been unpacked yet.
  const isOurs = (path: string) => path.startsWith(`${root}/`)
  return paths.length > 0 && paths.every(isOurs) ? paths.map((path) => relative(root, path)) : undefined
}

const loaderPath = 'lib64/ld-linux-x86-64.so.2'

/** Where a file of the old hierarchy is: since Debian 13, /usr of packages also has what was beside it. */
async function findIn(root: string, path: string): Promise<string | undefined> {
  for (const place of [join(root, path), join(root, 'usr', path)]) if (await exists(place)) return place
  return undefined
}

/** @throws Fault Unavailable when a package lacks an expected file */
async function getIn(root: string, path: string): Promise<string> {
  const found = await findIn(root, path)
  if (found === undefined) throw new Fault('Unavailable', `No package of the demo guest has ${path}`)
  return found
}

async function pack(root: string, image: string, guestKernel: GuestKernel): Promise<void> {
  const kernels = (await readdir(join(root, 'boot'))).filter((name) => name.startsWith('vmlinuz-'))
  const kernel = kernels[0]
  if (!kernel) throw new Fault('Unavailable', 'The kernel package has no kernel')
  const release = kernel.slice('vmlinuz-'.length)
  const modules = await readModules(await getIn(root, join('lib/modules', release)), guestKernel.modules)
  const archive = packNewc(tree([...(await toolFiles(root)), ...modules.files, ...ourFiles(modules.order)]))
  const files = {
    vmlinuz: await readFile(join(root, 'boot', kernel)),
    'initrd.img': await promisify(gzip)(archive, { level: 9 }),
    [recipeFile]: recipe(guestKernel),
  }
  // Independent of the umask: QEMU, which is not root, reads them.
  await chmod(image, 0o755)
  for (const [name, data] of Object.entries(files)) {
    await writeFile(join(image, name), data, { flush: true })
    await chmod(join(image, name), 0o644)
  }
}

async function readModules(
  folder: string,
  wanted: readonly string[],
): Promise<Readonly<{ order: readonly string[]; files: readonly Entry[] }>> {
  const paths = await readdir(folder, { recursive: true })
  const pathByName = new Map<string, string>()
  for (const path of paths.filter((path) => /\.ko(\.xz)?$/.test(path))) {
    pathByName.set(moduleName(path), join(folder, path))
  }
  const data = new Map<string, Buffer>()
  const needs = new Map<string, readonly string[]>()
  const read = async (name: string): Promise<void> => {
    const path = pathByName.get(name)
    if (!path || data.has(name)) return
    const bytes = await readModule(path)
    data.set(name, bytes)
    needs.set(name, dependenciesOf(bytes))
    for (const dependency of dependenciesOf(bytes)) await read(dependency)
  }
  for (const name of wanted) await read(name)
  const order = loadOrder(wanted, needs)
  const files = order.map(
    (name): Entry => ({
      type: 'file',
      path: `lib/modules/${name}.ko`,
      data: data.get(name) ?? Buffer.alloc(0),
    }),
  )
  return { order, files }
}

/** File names have dashes where module names have underscores. */
function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\.xz)?$/, '')
    .replaceAll('-', '_')
}

async function readModule(path: string): Promise<Buffer> {
  if (!path.endsWith('.xz')) return readFile(path)
  await run(['xz', '--decompress', '--keep', '--force', path])
  return readFile(path.slice(0, -'.xz'.length))
}

/** busybox under all its names, the agent and its libraries. */
async function toolFiles(root: string): Promise<readonly Entry[]> {
  const file = async (path: string, from = path): Promise<Entry> => ({
    type: 'file',
    path,
    data: await readFile(await getIn(root, from)),
    executable: true,
  })
  const busybox = await getIn(root, 'bin/busybox')
  const applets = (await run([busybox, '--list'])).split('\n').filter((name) => name !== '' && name !== 'busybox')
  const ours = (name: string) => `bin/${name}` in guestFiles
  const links = applets
    .filter((name) => !ours(name))
    .map((name): Entry => ({ type: 'link', path: `bin/${name}`, target: 'busybox' }))
  const libraries = (await librariesOf(root)) ?? []
  const paths = new Set([loaderPath, ...libraries])
  return [
    await file('bin/busybox'),
    ...links,
    await file('bin/qemu-ga', agentPath),
    ...(await Promise.all([...paths].map((path) => file(path)))),
  ]
}

function ourFiles(modules: readonly string[]): readonly Entry[] {
  const files = Object.entries(guestFiles).map(
    ([path, text]): Entry => ({
      type: 'file',
      path,
      data: Buffer.from(text),
      executable: path !== 'etc/inittab',
    }),
  )
  const list = modules.map((name) => `${name}.ko\n`).join('')
  return [
    ...files,
    { type: 'file', path: 'etc/modules', data: Buffer.from(list) },
    { type: 'link', path: 'init', target: 'bin/busybox' },
    // One folder of programs under all the names that programs look in.
    { type: 'link', path: 'sbin', target: 'bin' },
    { type: 'link', path: 'usr/bin', target: '../bin' },
    { type: 'link', path: 'usr/sbin', target: '../bin' },
  ]
}

/** The entries, each after the folders it needs. */
function tree(entries: readonly Entry[]): readonly Entry[] {
  const folders = new Set(['dev', 'proc', 'sys', 'run', 'tmp', 'var', 'root', 'etc'])
  for (const { path } of entries) {
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) folders.add(folder)
  }
  const sorted = [...folders].toSorted()
  return [...sorted.map((path): Entry => ({ type: 'folder', path })), ...entries]
}

/** Replaces a folder, if there is one, by a finished one. */
async function replaceFolder(from: string, to: string, work: string): Promise<void> {
  await rename(to, join(work, 'old')).catch(() => undefined)
  await rename(from, to)
}
