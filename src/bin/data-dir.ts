import { chmod, mkdir, readdir, realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, resolve } from 'node:path'
import { dump } from 'js-yaml'
import { explain, Fault } from '#base/fault.ts'
import { exists, writeFileAtomic } from '#base/file.ts'
import type { Log } from '#base/log.ts'
import type { KeyPair } from '#machinery/rest/certificates.ts'

/** Longest data directory: paths of unix sockets below it end at 107 bytes. */
const maxLength = 40

/** Everything Patchbay stores, by name. */
export type DataDir = Readonly<{
  root: string
  store: string
  kubeconfig: string
  pki: string
  images: string
  /** The disks of claims. */
  volumes: string
  pods: string
  ipam: string
  cache: string
  pid: string
  host: string
  audit: string
  users: string
  control: string
  /** Locked by the server that runs, when its store is elsewhere. */
  lock: string
}>

/** The paths below a data directory. @throws Fault Invalid for a path that is too long */
export function dataDirAt(path: string): DataDir {
  const root = isAbsolute(path) ? path : resolve(path)
  if (Buffer.byteLength(root) > maxLength)
    throw new Fault(
      'Invalid',
      `The data directory ${root} is ${Buffer.byteLength(root)} bytes long; at most ${maxLength} are possible, because unix socket paths below it must stay below 108. Choose a shorter one with --data-dir`,
    )
  const at = (name: string) => join(root, name)
  return {
    root,
    store: at('store.db'),
    kubeconfig: at('kubeconfig'),
    pki: at('pki'),
    images: at('images'),
    volumes: at('volumes'),
    pods: at('pods'),
    ipam: at('ipam'),
    cache: at('cache'),
    pid: at('patchbay.pid'),
    host: at('host.json'),
    audit: at('audit.log'),
    users: at('users'),
    control: at('control.sock'),
    lock: at('server.lock'),
  }
}

/** Creates the directory, private to root; removes the access of others from an existing one. @throws Fault Invalid, Unavailable */
export async function createDataDir(dir: DataDir, log: Log): Promise<DataDir> {
  return asSentence(dir.root, async () => {
    await mkdir(dir.root, { recursive: true, mode: 0o700 })
    const real = dataDirAt(await realpath(dir.root))
    await tighten(real, log)
    return real
  })
}

async function tighten({ root, store, images }: DataDir, log: Log): Promise<void> {
  const mode = (await stat(root)).mode & 0o7777
  if ((mode & 0o077) === 0) return
  // After a typing error, a folder of another purpose, such as /var, must not be closed to the rest of the host.
  const isOurs = (await exists(store)) || (await exists(images)) || (await readdir(root)).length === 0
  if (!isOurs)
    throw new Fault(
      'Invalid',
      `The folder ${root} is open to other users (mode ${mode.toString(8)}) and holds files that are not of Patchbay; choose another --data-dir, or run: chmod 700 ${root}`,
    )
  await chmod(root, 0o700)
  log.warn({ dir: root, mode: mode.toString(8) }, 'The data directory was open to other users; only root may enter now')
}

/** What the system says when a folder cannot be written, and a remedy. */
const unwritable: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space and start again',
  EDQUOT: 'its disk quota is used up; free some space and start again',
  EROFS: 'its file system is read-only; mount it for writing, or choose another --data-dir',
  EACCES: 'this user may not write there; run as root, or choose another --data-dir',
  EPERM: 'this user may not write there; run as root, or choose another --data-dir',
  ENOTDIR: 'part of the path is a file; choose another --data-dir',
  EEXIST: 'part of the path is a file; choose another --data-dir',
}

/** Runs work in a data directory; an error about writing the directory becomes a sentence with a remedy. */
export async function asSentence<T>(root: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const code = whyUnwritable(error, root)
    if (code === undefined) throw error
    throw new Fault('Unavailable', `The data directory ${root} cannot be used: ${unwritable[code]}`)
  }
}

/** The code of the failure if it is about a file below `root`, or about its disk. */
function whyUnwritable(error: unknown, root: string): string | undefined {
  const { code, path = '', syscall } = error as Partial<NodeJS.ErrnoException>
  if (code !== undefined && path.startsWith(root) && syscall !== 'watch' && unwritable[code]) return code
  // The store's thread, and SQLite in it, give a text without a code.
  const text = explain(error)
  if (/disk is full|ENOSPC: no space/.test(text)) return 'ENOSPC'
  if (/EROFS: |readonly database/.test(text)) return 'EROFS'
  return text.includes('EDQUOT: ') ? 'EDQUOT' : undefined
}

/** How clients reach the server: its address, and the name to verify when its certificate does not cover the address. */
export type ServerAddress = Readonly<{ url: string; serverName?: string }>

/** Writes the administrator's kubeconfig for a server address. */
export async function writeKubeconfig(
  dir: DataDir,
  at: ServerAddress,
  authority: KeyPair,
  admin: KeyPair,
): Promise<void> {
  await writeFileAtomic(dir.kubeconfig, kubeconfigOf(at, authority, 'admin', admin))
}

/** A kubeconfig for a user with a client certificate. */
export function kubeconfigOf(
  { url, serverName }: ServerAddress,
  authority: KeyPair,
  name: string,
  pair: KeyPair,
): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const cluster = {
    server: url,
    'certificate-authority-data': base64(authority.cert),
    ...(serverName && { 'tls-server-name': serverName }),
  }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'patchbay', cluster }],
    users: [{ name, user: { 'client-certificate-data': base64(pair.cert), 'client-key-data': base64(pair.key) } }],
    contexts: [{ name: 'patchbay', context: { cluster: 'patchbay', user: name, namespace: 'default' } }],
    'current-context': 'patchbay',
  }
  return dump(config)
}
