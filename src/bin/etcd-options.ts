import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { Fault } from '#base/fault.ts'
import type { EtcdSettings } from './server-store.ts'

/** The options of `addEtcdOptions` as parsed. */
export type GivenEtcd = GivenAccess & Readonly<{ etcd?: string }>

/** Those of them that say how etcd is reached, wherever it is. */
export type GivenAccess = Readonly<{
  etcdCacert?: string
  etcdCert?: string
  etcdKey?: string
  etcdUser?: string
  etcdPasswordFile?: string
  etcdPrefix?: string
}>

const defaultPrefix = '/patchbay'

/** Adds the options about a store in etcd to a command. */
export function addEtcdOptions(command: Command): Command {
  return addAccessOptions(
    command.option(
      '--etcd <urls>',
      'keep the store in etcd, at these members of one cluster, separated by commas, and not in the data directory',
    ),
  )
}

/** Adds the options about how etcd is reached. */
export function addAccessOptions(command: Command): Command {
  return command
    .option('--etcd-cacert <file>', 'certificates (PEM) of the authority of etcd’s members')
    .option('--etcd-cert <file>', 'client certificate (PEM) to show etcd')
    .option('--etcd-key <file>', 'its private key (PEM)')
    .option('--etcd-user <name>', 'user to sign in to etcd as, if it checks users')
    .option('--etcd-password-file <file>', 'a file with the password of that user')
    .option('--etcd-prefix <prefix>', `what the keys in etcd begin with (default: ${defaultPrefix})`)
}

/** Where the store is in etcd; undefined when it is not there. @throws Fault Invalid that names the option */
export async function etcdOf(given: GivenEtcd): Promise<EtcdSettings | undefined> {
  if (given.etcd !== undefined) return etcdAt('--etcd', given.etcd, given)
  const [lonely] = accessFlags.filter(([name]) => given[name] !== undefined)
  if (lonely)
    throw new Fault('Invalid', `${lonely[1]} says how etcd is reached, but --etcd does not say where it is: give both`)
  return undefined
}

const accessFlags = [
  ['etcdCacert', '--etcd-cacert'],
  ['etcdCert', '--etcd-cert'],
  ['etcdKey', '--etcd-key'],
  ['etcdUser', '--etcd-user'],
  ['etcdPasswordFile', '--etcd-password-file'],
  ['etcdPrefix', '--etcd-prefix'],
] as const

/** Etcd at the URLs of an option. @throws Fault Invalid that names the option */
export async function etcdAt(option: string, urls: string, given: GivenAccess): Promise<EtcdSettings> {
  const endpoints = urls.split(',').map((text) => endpointOf(option, text))
  const [tls, user] = [await tlsOf(given, endpoints), await userOf(given)]
  return { endpoints, prefix: prefixOf(given.etcdPrefix ?? defaultPrefix), ...(tls && { tls }), ...(user && { user }) }
}

function endpointOf(option: string, text: string): string {
  const url = URL.parse(text)
  const isPlain = url && url.origin === text.replace(/\/$/, '') && url.port !== ''
  if (isPlain && (url.protocol === 'http:' || url.protocol === 'https:')) return url.origin
  throw new Fault('Invalid', `${option} ${text} is no URL of a member of etcd, such as https://10.0.0.1:2379`)
}

function prefixOf(prefix: string): string {
  if (/^(\/[A-Za-z0-9._-]+)+$/.test(prefix)) return prefix
  throw new Fault(
    'Invalid',
    `--etcd-prefix ${prefix} is no prefix such as ${defaultPrefix}: it begins with / and ends with a name`,
  )
}

async function tlsOf({ etcdCacert, etcdCert, etcdKey }: GivenAccess, endpoints: readonly string[]) {
  if ((etcdCert === undefined) !== (etcdKey === undefined))
    throw new Fault('Invalid', '--etcd-cert and --etcd-key belong together: give both')
  const plain = endpoints.find((url) => url.startsWith('http:'))
  if (etcdCacert === undefined && etcdCert === undefined) return undefined
  if (plain !== undefined)
    throw new Fault(
      'Invalid',
      `--etcd-cacert and --etcd-cert are for TLS, which ${plain} has none of: write it with https`,
    )
  return {
    ...(etcdCacert !== undefined && { ca: await textOf('--etcd-cacert', etcdCacert) }),
    ...(etcdCert !== undefined && { cert: await textOf('--etcd-cert', etcdCert) }),
    ...(etcdKey !== undefined && { key: await textOf('--etcd-key', etcdKey) }),
  }
}

async function userOf({ etcdUser: name, etcdPasswordFile: file }: GivenAccess) {
  if (name === undefined && file === undefined) return undefined
  if (name === undefined || file === undefined)
    throw new Fault('Invalid', '--etcd-user and --etcd-password-file belong together: give both')
  return { name, password: (await textOf('--etcd-password-file', file)).replace(/\r?\n$/, '') }
}

async function textOf(option: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new Fault('Invalid', `${option} ${file} cannot be read`, { cause })
  }
}
