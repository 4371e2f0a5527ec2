import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { load } from 'js-yaml'
import { Secret } from '#apis/core/secret.ts'
import { Fault } from '#base/fault.ts'
import { readTextIfAny, writeFileAtomic } from '#base/file.ts'
import { makeLog } from '#base/log.ts'
import type { Client } from '#machinery/client/client.ts'
import { issue } from '#machinery/rest/certificates.ts'
import { groupsIn, passwordKey, passwordSecret } from '#ovirt/engine/sign-in/accounts.ts'
import { openAuthority } from '#server/pki.ts'
import { withClient } from './client-kit.ts'
import { createDataDir, type DataDir, dataDirAt, kubeconfigOf, type ServerAddress } from './data-dir.ts'

type Options = Readonly<{ dataDir: string; name: string; groups: readonly string[]; out?: string }>

/** Default address of a server that has no kubeconfig yet. */
const usualUrl = 'https://127.0.0.1:6443'

/**
 * Issues a client certificate and writes a kubeconfig with it; needs no running server. Resolves to the file's path.
 * @throws Fault Invalid for an invalid user name
 */
export async function createUser({ dataDir, name, groups, out }: Options): Promise<string> {
  // Names of that form belong to components: `system:serviceaccount:…` would count as a ServiceAccount.
  if (name.startsWith('system:')) throw new Fault('Invalid', `User names that begin with system: are reserved: ${name}`)
  if (!/^[A-Za-z0-9][-\w.@:]{0,63}$/.test(name))
    throw new Fault('Invalid', `User name ${JSON.stringify(name)} is not made of letters, digits and . _ - @ :`)
  const bad = groups.find((group) => !/^[-\w.@:]{1,64}$/.test(group))
  if (bad !== undefined)
    throw new Fault('Invalid', `Group ${JSON.stringify(bad)} is not made of letters, digits and . _ - @ :`)
  const dir = await createDataDir(dataDirAt(dataDir), makeLog())
  const authority = await openAuthority(dir)
  const pair = await issue(authority, { use: 'client', name, groups })
  const path = out ?? join(dir.users, `${name}.kubeconfig`)
  await writeFileAtomic(path, kubeconfigOf(await addressOf(dir), authority, name, pair))
  return path
}

/**
 * Sets the password by which a user signs in to oVirt's API, in a Secret of the running server. Sessions of an old one end.
 * @throws Fault Invalid for an empty password, Unavailable when the server does not run
 */
export async function setPassword({ dataDir, name, groups, file }: PasswordOptions): Promise<void> {
  const password = (file === '-' ? await textOf(process.stdin) : await readFile(file, 'utf8')).replace(/\r?\n$/, '')
  if (!password) throw new Fault('Invalid', `--password-file ${file} has no password in it`)
  await asAdmin(dataDir, async (client) => {
    const key = passwordKey(name)
    const old = await client.get(Secret, key)
    const secret = await passwordSecret({ name, groups: groups ?? groupsIn(old), password })
    const changed = await client.modify(Secret, key, (current) => ({ ...current, data: secret.data ?? {} }))
    if (!changed) await client.create(Secret, secret)
  })
}

/** Takes a user's password away, which ends their sessions. Resolves to whether there was one. @throws Fault Unavailable */
export async function deletePassword(dataDir: string, name: string): Promise<boolean> {
  let isThere = false
  await asAdmin(dataDir, async (client) => {
    isThere = (await client.get(Secret, passwordKey(name))) !== undefined
    await client.delete(Secret, passwordKey(name))
  })
  return isThere
}

type PasswordOptions = Readonly<{
  dataDir: string
  name: string
  /** Those the user has already, unless given. */
  groups?: readonly string[]
  /** A file with the password, or `-` for the standard input: on a command line all users could read it. */
  file: string
}>

async function asAdmin(dataDir: string, work: (client: Client) => Promise<void>): Promise<void> {
  const { kubeconfig } = dataDirAt(dataDir)
  if (!(await readTextIfAny(kubeconfig)))
    throw new Fault('Unavailable', `Passwords are kept by the server, and ${dataDir} has never had one: start it first`)
  await withClient({ kubeconfig }, ({ client }) => work(client))
}

/** The server in the administrator's kubeconfig. */
async function addressOf(dir: DataDir): Promise<ServerAddress> {
  const text = await readTextIfAny(dir.kubeconfig)
  if (!text) return { url: usualUrl }
  const config = load(text) as { clusters?: { cluster?: { server?: string; 'tls-server-name'?: string } }[] }
  const { server = usualUrl, 'tls-server-name': serverName } = config.clusters?.[0]?.cluster ?? {}
  return { url: server, ...(serverName && { serverName }) }
}
