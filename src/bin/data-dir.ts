import { mkdir, realpath } from 'node:fs/promises'
import { isAbsolute, join, resolve } from 'node:path'
import { dump } from 'js-yaml'
import { Fault } from '#base/fault.ts'
import { writeFileAtomic } from '#base/file.ts'
import type { KeyPair } from '#machinery/rest/certificates.ts'

/** Longest data directory: paths of unix sockets below it end at 107 bytes. */
const maxLength = 40

/** Everything Patchbay keeps, by name. */
export type DataDir = Readonly<{
  root: string
  store: string
  kubeconfig: string
  pki: string
  images: string
  pods: string
  ipam: string
  cache: string
  pid: string
  host: string
  audit: string
  users: string
}>

/** Where things are below a data directory. @throws Fault Invalid for one that is too long. */
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
    pods: at('pods'),
    ipam: at('ipam'),
    cache: at('cache'),
    pid: at('patchbay.pid'),
    host: at('host.json'),
    audit: at('audit.log'),
    users: at('users'),
  }
}

/** Makes the directory, private to root. */
export async function createDataDir(dir: DataDir): Promise<DataDir> {
  await mkdir(dir.root, { recursive: true, mode: 0o700 })
  return dataDirAt(await realpath(dir.root))
}

/** How clients reach the server: its address, and the name to ask for when it shows others another certificate. */
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
