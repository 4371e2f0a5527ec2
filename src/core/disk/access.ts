import type { DataVolume } from '#apis/cdi/datavolume.ts'
import type { Credential, RegistryCredentials } from '../ports.ts'
import { dockerConfigKey, dockerCredentials } from './docker-config.ts'
import { parseHeader } from './headers.ts'
import type { DiskPull } from './ports.ts'
import type { Source, SourceObjects } from './sources.ts'

/** The Secrets and ConfigMaps that a DataVolume names. */
export type AccessObjects = Pick<SourceObjects, 'secret' | 'configMap'>

type Dv = Pick<DataVolume, 'spec' | 'metadata'>
type Keys = ReadonlyMap<string, Uint8Array>

/** The objects of its namespace that the source of a DataVolume needs for access to its server. */
export function accessSources({ spec }: Pick<DataVolume, 'spec'>): Source[] {
  const { http, registry } = spec.source ?? {}
  const of = (kind: Source['kind'], name: string | undefined): Source[] =>
    name ? [{ kind, name, isOptional: false }] : []
  return [
    ...of('Secret', http?.secretRef ?? registry?.secretRef),
    ...of('ConfigMap', http?.certConfigMap ?? registry?.certConfigMap),
    ...(http?.secretExtraHeaders ?? []).flatMap((name) => of('Secret', name)),
  ]
}

type Access = Pick<DiskPull, 'access' | 'credentials'>

/** What a download for a DataVolume shows its server and trusts, or everything that it has to wait for; no sentence has a secret in it. */
export function accessOf(dv: Dv, objects: AccessObjects): Access | Readonly<{ waits: string }> {
  const { namespace: scope = 'default' } = dv.metadata
  const { http, registry } = dv.spec.source ?? {}
  const { secretRef, certConfigMap } = { ...http, ...registry }
  const problems: string[] = []
  const there = (kind: 'Secret' | 'ConfigMap', name: string): Keys | undefined => {
    const found = kind === 'Secret' ? objects.secret(name) : objects.configMap(name)
    if (!found) problems.push(`${kind} ${scope}/${name} does not exist, waiting for it to appear`)
    return found
  }
  const take = <T>(value: T | undefined, problem: string): T | undefined => {
    if (value === undefined) problems.push(problem)
    return value
  }
  const keys = secretRef ? there('Secret', secretRef) : undefined
  const known =
    keys &&
    take(
      credentialsIn(keys, registry !== undefined),
      `Secret ${scope}/${secretRef} has no credentials: ${registry ? registryRemedy : remedy}`,
    )
  const certificates = certConfigMap ? there('ConfigMap', certConfigMap) : undefined
  const ca =
    certificates &&
    take(
      certificatesIn(certificates),
      `ConfigMap ${scope}/${certConfigMap} has no certificate: its keys are files of certificates (PEM)`,
    )
  const secretLines = (http?.secretExtraHeaders ?? []).flatMap((name) =>
    [...(there('Secret', name) ?? [])].map(([key, value]) => ({
      what: `${key} of Secret ${scope}/${name}`,
      line: textOf(value),
    })),
  )
  const lines = [...(http?.extraHeaders ?? []).map((line, i) => ({ what: `extraHeaders[${i}]`, line })), ...secretLines]
  const headers = lines.flatMap(({ what, line }) => {
    const header = take(parseHeader(line), `${what} is no header that can be sent: write it like NAME: VALUE`)
    return header ? [header] : []
  })
  if (problems.length) return { waits: problems.join('; ') }
  const { credentials, login } = known ?? {}
  if (!known && !headers.length && ca === undefined) return {}
  return {
    ...(credentials && { credentials }),
    access: {
      ...(login && { login }),
      ...(headers.length > 0 && { headers: Object.fromEntries(headers) }),
      ...(ca !== undefined && { ca }),
      scope,
    },
  }
}

const remedy = 'give it the keys accessKeyId and secretKey'
const registryRemedy = `${remedy}, or ${dockerConfigKey} as docker login writes it`

/** The credentials in a Secret: a user of the server, or for registries a configuration of docker. */
function credentialsIn(
  keys: Keys,
  isRegistry: boolean,
): Readonly<{ login?: Credential; credentials?: RegistryCredentials }> | undefined {
  const config = isRegistry ? keys.get(dockerConfigKey) : undefined
  const credentials = config && dockerCredentials(textOf(config))
  if (credentials) return { credentials }
  const [username, password] = [keys.get('accessKeyId'), keys.get('secretKey')]
  return username && password && { login: { username: textOf(username), password: textOf(password) } }
}

function certificatesIn(keys: Keys): string | undefined {
  const ca = [...keys.values()].map(textOf).join('\n')
  return ca.includes('-----BEGIN CERTIFICATE-----') ? ca : undefined
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}
