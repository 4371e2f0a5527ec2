import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { load } from 'js-yaml'
import { Fault } from '#base/fault.ts'
import { readTextIfAny } from '#base/file.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import type { Endpoint } from '#machinery/client-node/https.ts'

/** How a user selects the server: kubectl's options. */
export type Choice = Readonly<{ kubeconfig?: string; context?: string; namespace?: string }>

/** A server, our credentials, and the default namespace. */
export type Target = Readonly<{ endpoint: Endpoint; namespace: string }>

type Environment = Readonly<Record<string, string | undefined>>

/** A named entry, and its file: paths in it are relative to that file. */
type Entry = Readonly<{ value: JsonObject; file: string }>

/** Merged kubeconfigs: the first entry of a name wins, as with kubectl. */
type Merged = Readonly<{
  files: readonly string[]
  clusters: ReadonlyMap<string, Entry>
  users: ReadonlyMap<string, Entry>
  contexts: ReadonlyMap<string, Entry>
  current: string
}>

/** Default data directory of `patchbay up`. */
const usualDataDir = '/var/lib/patchbay'

/** Finds the server by kubeconfig, as kubectl would. @throws Fault Invalid that names the file and what to do */
export async function findTarget(choice: Choice, environment: Environment = process.env): Promise<Target> {
  const merged = merge(await readAll(choice, environment))
  const context = contextOf(merged, choice.context)
  const cluster = referred(merged, 'cluster', merged.clusters, context.value.cluster)
  const user = context.value.user ? referred(merged, 'user', merged.users, context.value.user) : undefined
  const endpoint = { ...(await serverOf(cluster)), ...(user && (await credentialsOf(user))) }
  return { endpoint, namespace: choice.namespace || textAt(context, 'namespace') || 'default' }
}

async function readAll(choice: Choice, environment: Environment): Promise<(readonly [file: string, text: string])[]> {
  if (choice.kubeconfig) return [[choice.kubeconfig, await readNamed(choice.kubeconfig, '--kubeconfig')]]
  const given = (environment.KUBECONFIG ?? '').split(':').filter(Boolean)
  const dataDir = environment.PATCHBAY_DIR
  const usual = [
    join(environment.HOME ?? homedir(), '.kube/config'),
    ...(dataDir ? [join(dataDir, 'kubeconfig')] : []),
    join(usualDataDir, 'kubeconfig'),
  ]
  const found: [string, string][] = []
  for (const file of given.length ? given : usual) {
    const text = await readIfAny(file)
    if (text !== undefined) found.push([file, text])
    // Default paths are not a list: only the first one that exists is read.
    if (found.length && !given.length) break
  }
  if (found.length) return found
  throw new Fault(
    'Invalid',
    given.length
      ? `No kubeconfig is at ${given.join(' or ')}, as KUBECONFIG says; set it to DIR/kubeconfig of a running \`patchbay up\``
      : `No kubeconfig is at ${usual.join(', ')}; name one with --kubeconfig or KUBECONFIG, such as DIR/kubeconfig of a running \`patchbay up\``,
  )
}

/** Undefined for a missing file. */
async function readIfAny(file: string): Promise<string | undefined> {
  try {
    return await readTextIfAny(file)
  } catch (cause) {
    throw new Fault('Invalid', `Cannot read the kubeconfig ${file}; name another with --kubeconfig`, { cause })
  }
}

async function readNamed(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new Fault('Invalid', `Cannot read ${file}, which ${what} names; correct it`, { cause })
  }
}

function merge(sources: readonly (readonly [file: string, text: string])[]): Merged {
  const configs = sources.map(([file, text]) => ({ file, config: parse(file, text) }))
  const all = (list: string, inner: string) => {
    const found = new Map<string, Entry>()
    for (const { file, config } of configs)
      for (const one of Array.isArray(config[list]) ? config[list] : []) {
        const value = isObject(one) ? one[inner] : undefined
        if (isObject(one) && typeof one.name === 'string' && isObject(value) && !found.has(one.name))
          found.set(one.name, { file, value })
      }
    return found
  }
  const current = configs.map(({ config }) => config['current-context']).find(Boolean)
  return {
    files: sources.map(([file]) => file),
    clusters: all('clusters', 'cluster'),
    users: all('users', 'user'),
    contexts: all('contexts', 'context'),
    current: typeof current === 'string' ? current : '',
  }
}

function parse(file: string, text: string): JsonObject {
  let value: unknown
  try {
    // An empty file counts as missing; the parser does not accept it as YAML.
    value = /^\s*[^\s#]/m.test(text) ? load(text) : {}
  } catch (cause) {
    throw new Fault('Invalid', `The kubeconfig ${file} is not YAML`, { cause })
  }
  if (isObject(value)) return value
  throw new Fault('Invalid', `The kubeconfig ${file} is no object; name another with --kubeconfig`)
}

function contextOf(merged: Merged, wanted: string | undefined): Entry {
  const name = wanted || merged.current
  const there = [...merged.contexts.keys()].join(', ') || 'none'
  const where = merged.files.join(' and ')
  if (!name)
    throw new Fault('Invalid', `The kubeconfig ${where} has no current context; choose one with --context: ${there}`)
  const found = merged.contexts.get(name)
  if (found) return found
  throw new Fault('Invalid', `The kubeconfig ${where} has no context "${name}"; choose one with --context: ${there}`)
}

function referred(merged: Merged, what: string, entries: ReadonlyMap<string, Entry>, name: unknown): Entry {
  const found = entries.get(String(name))
  if (found) return found
  throw new Fault(
    'Invalid',
    `The kubeconfig ${merged.files.join(' and ')} has no ${what} "${String(name ?? '')}", which its context names; add it or choose another with --context`,
  )
}

async function serverOf(cluster: Entry): Promise<Endpoint> {
  const server = textAt(cluster, 'server') ?? ''
  if (!URL.canParse(server) || new URL(server).protocol !== 'https:')
    throw new Fault('Invalid', `The kubeconfig ${cluster.file} has no server with https:// but "${server}"; correct it`)
  refuse(cluster, ['proxy-url'])
  const ca = await pemAt(cluster, 'certificate-authority')
  const serverName = textAt(cluster, 'tls-server-name')
  return {
    server,
    ...(ca && { ca }),
    ...(serverName && { serverName }),
    ...(cluster.value['insecure-skip-tls-verify'] === true && { insecureSkipTlsVerify: true }),
  }
}

async function credentialsOf(user: Entry): Promise<Pick<Endpoint, 'cert' | 'key' | 'token'>> {
  refuse(user, ['exec', 'auth-provider', 'username', 'as'])
  const [cert, key] = await Promise.all([pemAt(user, 'client-certificate'), pemAt(user, 'client-key')])
  if (cert && !key) throw new Fault('Invalid', `The kubeconfig ${user.file} has a client certificate without its key`)
  const tokenFile = textAt(user, 'tokenFile')
  // As kubectl does: the file is the one kept up to date.
  const token = tokenFile ? (await readBeside(user, tokenFile, 'tokenFile')).trim() : textAt(user, 'token')
  return { ...(cert && { cert }), ...(key && { key }), ...(token && { token }) }
}

/** @throws Fault Invalid for kubectl features we lack, rather than to continue without them */
function refuse({ value, file }: Entry, fields: readonly string[]): void {
  const field = fields.find((one) => value[one])
  if (field !== undefined)
    throw new Fault(
      'Invalid',
      `The kubeconfig ${file} uses ${field}, which Patchbay cannot; use a client certificate or a token`,
    )
}

/** A PEM text from the kubeconfig itself, or from a file it names. */
async function pemAt(entry: Entry, field: string): Promise<string | undefined> {
  const data = textAt(entry, `${field}-data`)
  if (data) {
    const pem = Buffer.from(data, 'base64').toString('utf8')
    if (pem.includes('-----BEGIN ')) return pem
    throw new Fault(
      'Invalid',
      `The kubeconfig ${entry.file} has a ${field}-data that is not base64-encoded PEM; write it again`,
    )
  }
  const file = textAt(entry, field)
  return file ? readBeside(entry, file, field) : undefined
}

function readBeside({ file }: Entry, path: string, field: string): Promise<string> {
  return readNamed(resolve(dirname(file), path), `${field} in the kubeconfig ${file}`)
}

function textAt({ value }: Entry, field: string): string | undefined {
  const text = value[field]
  return typeof text === 'string' ? text : undefined
}
