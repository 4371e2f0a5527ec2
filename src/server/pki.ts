import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { explain, Fault } from '#base/fault.ts'
import { readTextIfAny, writeFileAtomic } from '#base/file.ts'
import type { Log } from '#base/log.ts'
import { ownName, type TlsIdentity, type TlsPair } from '#machinery/http/listener.ts'
import { createAuthority, issue, isValid, type KeyPair, needsRenewal } from '#machinery/rest/certificates.ts'

/** Where keys and certificates are kept: the folder `pki` of a data directory. */
type PkiFolder = Readonly<{ pki: string }>

/** The operator's own server certificate, PEM files: kube-apiserver's options of these names. */
export type TlsFiles = Readonly<{ certFile: string; keyFile: string }>

/** Keys and certificates in use, all of them valid now. */
export type Keys = Readonly<{ authority: KeyPair; server: KeyPair; admin: KeyPair; given?: TlsPair }>

type Options = Readonly<{
  dir: PkiFolder
  /** Addresses and names the server is reached at. */
  names: readonly string[]
  files?: TlsFiles
  log: Log
}>

/** The listener's certificate and key. */
export function identityOf({ authority, server, given }: Keys): TlsIdentity {
  return { own: server, clientAuthority: authority.cert, ...(given && { given }) }
}

/**
 * The CA of this installation, created on first use. An invalid one is replaced, because the clock was wrong when it was
 * made or because it expires: the certificates it issued are worthless then anyway.
 */
export async function openAuthority(dir: PkiFolder, log?: Log): Promise<KeyPair> {
  const old = await readPair(dir, 'ca')
  if (old && isValid(old, old, Date.now())) return old
  if (old)
    log?.warn(
      { file: join(dir.pki, 'ca.crt') },
      'Replacing an authority that is not valid now; users need new kubeconfigs',
    )
  return writePair(dir, 'ca', await createAuthority('patchbay-ca'))
}

/**
 * Opens the keys of a data directory, and creates those that are missing, invalid or about to expire. @throws Fault Invalid
 * for operator files that are not a certificate and its key
 */
export async function openKeys({ dir, names, files, log }: Options): Promise<Keys> {
  const authority = await openAuthority(dir, log)
  const old = await readPair(dir, 'admin')
  const admin =
    old && !needsRenewal(old, authority, Date.now())
      ? old
      : await writePair(
          dir,
          'admin',
          await issue(authority, { use: 'client', name: 'admin', groups: ['system:masters'] }),
        )
  const server = await issueServer(authority, names)
  return { authority, server, admin, ...(files && { given: await readGiven(files) }) }
}

/** The keys to use from now on; the same object when nothing changes. Bad operator files keep the old ones. */
export async function renewedKeys(keys: Keys, options: Options): Promise<Keys> {
  const given =
    options.files && (await readGiven(options.files).catch((error: unknown) => badFiles(options.log, error)))
  const isSameGiven = given === undefined || (given.cert === keys.given?.cert && given.key === keys.given.key)
  const isDue = [keys.server, keys.admin].some((pair) => needsRenewal(pair, keys.authority, Date.now()))
  if (!isDue) return isSameGiven ? keys : { ...keys, given }
  const fresh = await openKeys({ dir: options.dir, names: options.names, log: options.log })
  const kept = given ?? keys.given
  return { ...fresh, ...(kept && { given: kept }) }
}

/** The key that signs the tokens of ServiceAccounts, PEM: created on first use, never replaced. */
export async function tokenKeyOf(dir: PkiFolder): Promise<string> {
  const path = join(dir.pki, 'tokens.key')
  const known = await readTextIfAny(path)
  if (known) return known
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  await writeFileAtomic(path, key)
  return key
}

/** Addresses of a host change: the server's own certificate is issued at each start and kept in memory. */
function issueServer(authority: KeyPair, names: readonly string[]): Promise<KeyPair> {
  return issue(authority, {
    use: 'server',
    names: ['localhost', ownName, hostname(), '127.0.0.1', '::1', ...names],
  })
}

async function readGiven({ certFile, keyFile }: TlsFiles): Promise<TlsPair> {
  const read = async (option: string, path: string) => {
    try {
      return await readFile(path, 'utf8')
    } catch (cause) {
      throw new Fault('Invalid', `Cannot read ${option} ${path}`, { cause })
    }
  }
  const [cert, key] = await Promise.all([read('--tls-cert-file', certFile), read('--tls-private-key-file', keyFile)])
  try {
    createSecureContext({ cert, key })
  } catch (cause) {
    throw new Fault('Invalid', `--tls-cert-file ${certFile} and --tls-private-key-file ${keyFile} are no pair in PEM`, {
      cause,
    })
  }
  return { cert, key }
}

function badFiles(log: Log, error: unknown): undefined {
  log.warn({ cause: explain(error) }, 'Keeping the server certificate in use: the one in the files is bad')
}

async function readPair(dir: PkiFolder, name: string): Promise<KeyPair | undefined> {
  const [cert, key] = await Promise.all([
    readTextIfAny(join(dir.pki, `${name}.crt`)),
    readTextIfAny(join(dir.pki, `${name}.key`)),
  ])
  return cert && key ? { cert, key } : undefined
}

async function writePair(dir: PkiFolder, name: string, pair: KeyPair): Promise<KeyPair> {
  // The certificate last: a crash in between leaves a key that the next start replaces.
  await writeFileAtomic(join(dir.pki, `${name}.key`), pair.key)
  await writeFileAtomic(join(dir.pki, `${name}.crt`), pair.cert)
  return pair
}
