import { join } from 'node:path'
import { load } from 'js-yaml'
import { Fault } from '#base/fault.ts'
import { readTextIfAny, writeFileAtomic } from '#base/file.ts'
import { makeLog } from '#base/log.ts'
import { issue } from '#machinery/rest/certificates.ts'
import { openAuthority } from '#server/pki.ts'
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

/** The server in the administrator's kubeconfig. */
async function addressOf(dir: DataDir): Promise<ServerAddress> {
  const text = await readTextIfAny(dir.kubeconfig)
  if (!text) return { url: usualUrl }
  const config = load(text) as { clusters?: { cluster?: { server?: string; 'tls-server-name'?: string } }[] }
  const { server = usualUrl, 'tls-server-name': serverName } = config.clusters?.[0]?.cluster ?? {}
  return { url: server, ...(serverName && { serverName }) }
}
