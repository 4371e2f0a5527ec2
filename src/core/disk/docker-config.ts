import { decodeBase64 } from '#base/base64.ts'
import { isObject, type Json, jsonEntries, parsedJson } from '#base/json.ts'
import type { Credential, RegistryCredentials } from '../ports.ts'

/** The key of a registry's credentials in a Secret of type kubernetes.io/dockerconfigjson. */
export const dockerConfigKey = '.dockerconfigjson'

/**
 * The credentials in a configuration as `docker login` writes it, by host or URL as it has them. An entry without a password, which a
 * helper program has, is passed over. Undefined for what is no such configuration.
 */
export function dockerCredentials(text: string): RegistryCredentials | undefined {
  const config = parsedJson(text)
  const auths = isObject(config) ? config.auths : undefined
  if (!isObject(auths)) return undefined
  return new Map(
    jsonEntries(auths).flatMap(([host, entry]) => {
      const credential = credentialOf(entry)
      return credential ? [[host, credential] as const] : []
    }),
  )
}

/** `auth` wins over the other form, as for kubelet. */
function credentialOf(entry: Json): Credential | undefined {
  if (!isObject(entry)) return undefined
  const { auth, username, password } = entry
  if (typeof auth === 'string' && auth !== '') {
    const decoded = new TextDecoder().decode(decodeBase64(auth) ?? new Uint8Array())
    const [, name, secret] = /^([^:]+):(.*)$/s.exec(decoded) ?? []
    return name !== undefined && secret !== undefined ? { username: name, password: secret } : undefined
  }
  return typeof username === 'string' && typeof password === 'string' ? { username, password } : undefined
}
