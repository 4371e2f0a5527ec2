import { Fault } from '#base/fault.ts'
import { isObject, type Json, jsonEntries, parsedJson } from '#base/json.ts'
import type { RegistryCredentials } from '#core/ports.ts'

/** The names that credentials for Docker Hub are kept under. */
const dockerHub: ReadonlySet<string> = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])

type Credential = Readonly<{ username: string; password: string }>

/** The credentials for a host, `HOST[:PORT]`. Their own keys may be URLs, as `docker login` writes them. */
export function credentialFor(all: RegistryCredentials | undefined, host: string): Credential | undefined {
  const wanted = canonical(host)
  for (const [key, credential] of all ?? []) if (canonical(key) === wanted) return credential
  return undefined
}

function canonical(key: string): string {
  const host = key
    .replace(/^https?:\/\//, '')
    .replace(/\/.*$/, '')
    .toLowerCase()
  return dockerHub.has(host) ? 'docker.io' : host
}

/** The value of an `Authorization` header. */
export function basic({ username, password }: Credential): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** The credentials in a file that `docker login` wrote; `name` is the file's. @throws Fault Invalid */
export function parseDockerConfig(text: string, name: string): RegistryCredentials {
  const config = parsedJson(text)
  const auths = isObject(config) ? config.auths : undefined
  if (!isObject(auths))
    throw new Fault('Invalid', `${name} is no Docker config: it is JSON with auths, as docker login writes it`)
  return new Map(
    jsonEntries(auths).flatMap(([host, entry]) => {
      const credential = credentialOf(entry)
      return credential ? [[host, credential] as const] : []
    }),
  )
}

/** An entry without a password, which a helper program has, is passed over. */
function credentialOf(entry: Json): Credential | undefined {
  if (!isObject(entry)) return undefined
  const { auth, username, password } = entry
  if (typeof auth === 'string' && auth !== '') {
    const [, name, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(auth, 'base64').toString()) ?? []
    return name !== undefined && secret !== undefined ? { username: name, password: secret } : undefined
  }
  return typeof username === 'string' && typeof password === 'string' ? { username, password } : undefined
}
