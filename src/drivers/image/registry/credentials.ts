import type { Credential, RegistryCredentials } from '#core/ports.ts'

/** The names that credentials for Docker Hub are kept under. */
const dockerHub: ReadonlySet<string> = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])

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
