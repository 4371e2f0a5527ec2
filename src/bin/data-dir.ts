import { generateKeyPairSync } from 'node:crypto'
import { mkdir, realpath } from 'node:fs/promises'
import { hostname } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { dump } from 'js-yaml'
import { Fault } from '#base/fault.ts'
import { readTextIfAny, writeFileAtomic } from '#base/file.ts'
import { createAuthority, issue, isUsable, type KeyPair } from '#machinery/rest/certificates.ts'

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

/** The authority of this installation and what it issued: made on first use, kept for good. */
export async function keysOf(
  dir: DataDir,
  names: readonly string[],
): Promise<{ authority: KeyPair; server: KeyPair; admin: KeyPair }> {
  const authority = (await readPair(dir, 'ca')) ?? (await writePair(dir, 'ca', await createAuthority('patchbay-ca')))
  const old = await readPair(dir, 'admin')
  const admin =
    old && isUsable(old, authority)
      ? old
      : await writePair(
          dir,
          'admin',
          await issue(authority, { use: 'client', name: 'admin', groups: ['system:masters'] }),
        )
  // Addresses of a host change; the server's own certificate is made anew with each start.
  const server = await issue(authority, {
    use: 'server',
    names: ['localhost', 'patchbay', hostname(), '127.0.0.1', '::1', ...names],
  })
  return { authority, server, admin }
}

/** The key that signs the tokens of ServiceAccounts, PEM: made on first use, kept for good. */
export async function tokenKeyOf(dir: DataDir): Promise<string> {
  const path = join(dir.pki, 'tokens.key')
  const known = await readTextIfAny(path)
  if (known) return known
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  await writeFileAtomic(path, key)
  return key
}

/** Writes the administrator's kubeconfig for a server address. */
export async function writeKubeconfig(dir: DataDir, url: string, authority: KeyPair, admin: KeyPair): Promise<void> {
  await writeFileAtomic(dir.kubeconfig, kubeconfigOf(url, authority, 'admin', admin))
}

/** A kubeconfig for somebody with a client certificate. */
export function kubeconfigOf(url: string, authority: KeyPair, name: string, pair: KeyPair): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'patchbay', cluster: { server: url, 'certificate-authority-data': base64(authority.cert) } }],
    users: [{ name, user: { 'client-certificate-data': base64(pair.cert), 'client-key-data': base64(pair.key) } }],
    contexts: [{ name: 'patchbay', context: { cluster: 'patchbay', user: name, namespace: 'default' } }],
    'current-context': 'patchbay',
  }
  return dump(config)
}

async function readPair(dir: DataDir, name: string): Promise<KeyPair | undefined> {
  const [cert, key] = await Promise.all([
    readTextIfAny(join(dir.pki, `${name}.crt`)),
    readTextIfAny(join(dir.pki, `${name}.key`)),
  ])
  return cert && key ? { cert, key } : undefined
}

async function writePair(dir: DataDir, name: string, pair: KeyPair): Promise<KeyPair> {
  // The certificate last: a crash in between leaves a key that the next start replaces.
  await writeFileAtomic(join(dir.pki, `${name}.key`), pair.key)
  await writeFileAtomic(join(dir.pki, `${name}.crt`), pair.cert)
  return pair
}
