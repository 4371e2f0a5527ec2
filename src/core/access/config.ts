import type { ConfigMap } from '#apis/core/configmap.ts'
import type { Secret } from '#apis/core/secret.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { fromBase64, toBase64 } from '#base/base64.ts'
import { Fault } from '#base/fault.ts'
import { isObject, parsedJson, sameJson } from '#base/json.ts'
import { accountNameAnnotation, tokenSecretType } from './token-secret.ts'

/** Most bytes in one Secret or ConfigMap (Kubernetes' limit). */
const maxBytes = 1024 * 1024

/** Keys that a Secret of a type must have. */
const requiredKeys: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/dockercfg': ['.dockercfg'],
}

/** Folds `stringData` into `data` and names the type. @throws Fault BadRequest for data that is no base64, as Kubernetes does */
export function secretWithDefaults(secret: Secret): Secret {
  const { stringData, data, ...rest } = secret
  // Values of a wrong type stay where they are: validation reports them.
  if (stringData !== undefined && (!isObject(stringData) || !Object.values(stringData).every(isString))) return secret
  if (data !== undefined && data !== null && !isObject(data)) return secret
  requireBase64('Secret', data)
  const folded = Object.fromEntries(Object.entries(stringData ?? {}).map(([key, text]) => [key, toBase64(text)]))
  const all = { ...data, ...folded }
  return { ...rest, type: secret.type || 'Opaque', ...(Object.keys(all).length && { data: all }) }
}

/** Everything wrong with a Secret. */
export function secretErrors(secret: Secret, old: Secret | undefined): FieldError[] {
  const { data = {}, type = 'Opaque' } = secret
  return [
    ...keyErrors('data', data),
    ...typeErrors(type, data, secret.metadata.annotations),
    ...sizeErrors(Object.values(data).map(base64Bytes)),
    ...immutableErrors(secret, old, ['data']),
    ...(old && old.type !== type
      ? [
          {
            field: 'type',
            message: `Invalid value: "${type}": field is immutable`,
            reason: 'FieldValueInvalid',
          } as const,
        ]
      : []),
  ]
}

/** @throws Fault BadRequest for binary data that is no base64 */
export function configMapWithDefaults(map: ConfigMap): ConfigMap {
  if (isObject(map.binaryData)) requireBase64('ConfigMap', map.binaryData)
  return map
}

/** Everything wrong with a ConfigMap. */
export function configMapErrors(map: ConfigMap, old: ConfigMap | undefined): FieldError[] {
  const { data = {}, binaryData = {} } = map
  const twice = Object.keys(data).filter((key) => binaryData[key] !== undefined)
  const bytes = [
    ...Object.values(data).map((text) => utf8.encode(text).length),
    ...Object.values(binaryData).map(base64Bytes),
  ]
  return [
    ...keyErrors('data', data),
    ...keyErrors('binaryData', binaryData),
    ...twice.map(
      (key) =>
        ({
          field: `data[${key}]`,
          message: `Invalid value: "${key}": duplicate of key present in binaryData`,
          reason: 'FieldValueInvalid',
        }) as const,
    ),
    ...sizeErrors(bytes),
    ...immutableErrors(map, old, ['data', 'binaryData']),
  ]
}

/** Keys whose value is the configuration of a container client: JSON. */
const jsonKeys = ['.dockercfg', '.dockerconfigjson']

/** What a Secret of a type lacks (Kubernetes' ValidateSecret). */
function typeErrors(
  type: string,
  data: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>> = {},
): FieldError[] {
  const missing = (field: string): FieldError => ({ field, message: 'Required value', reason: 'FieldValueRequired' })
  if (type === tokenSecretType && !annotations[accountNameAnnotation])
    return [missing(`metadata.annotations[${accountNameAnnotation}]`)]
  if (type === 'kubernetes.io/basic-auth' && data.username === undefined && data.password === undefined)
    return [missing('data[username]'), missing('data[password]')]
  return (requiredKeys[type] ?? []).flatMap((key): FieldError[] => {
    const value = data[key]
    if (value === undefined) return [missing(`data[${key}]`)]
    if (!jsonKeys.includes(key) || isObject(parsedJson(fromBase64(value)))) return []
    const message = 'Invalid value: "<secret contents redacted>": must be a JSON object'
    return [{ field: `data[${key}]`, message, reason: 'FieldValueInvalid' }]
  })
}

const utf8 = new TextEncoder()
const isString = (value: unknown) => typeof value === 'string'
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

function base64Bytes(text: string): number {
  return (text.length / 4) * 3 - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0)
}

function requireBase64(kind: string, data: Readonly<Record<string, unknown>> | undefined): void {
  for (const [key, value] of Object.entries(data ?? {}))
    if (typeof value === 'string' && !base64.test(value))
      throw new Fault(
        'BadRequest',
        `${kind} in version "v1" cannot be handled as a ${kind}: illegal base64 data in ${JSON.stringify(key)}`,
      )
}

function keyErrors(field: string, data: Readonly<Record<string, string>>): FieldError[] {
  const rule =
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
  return Object.keys(data).flatMap((key): FieldError[] => {
    const at = (message: string): FieldError[] => [
      { field: `${field}[${key}]`, message: `Invalid value: "${key}": ${message}`, reason: 'FieldValueInvalid' },
    ]
    if (key.length > 253) return at('must be no more than 253 characters')
    if (!/^[-._a-zA-Z0-9]+$/.test(key)) return at(rule)
    if (key === '.') return at("must not be '.'")
    if (key === '..') return at("must not be '..'")
    return key.startsWith('..') ? at("must not start with '..'") : []
  })
}

function sizeErrors(sizes: readonly number[]): FieldError[] {
  if (sizes.reduce((sum, size) => sum + size, 0) <= maxBytes) return []
  return [{ field: 'data', message: `Too long: may not be more than ${maxBytes} bytes`, reason: 'FieldValueInvalid' }]
}

type Immutable = Readonly<{ immutable?: boolean }>

function immutableErrors<T extends Immutable>(
  now: T,
  old: T | undefined,
  fields: readonly (keyof T & string)[],
): FieldError[] {
  if (!old?.immutable) return []
  const message = 'Forbidden: field is immutable when `immutable` is set'
  const changed = fields.filter((field) => !sameJson(now[field], old[field]))
  return [...(now.immutable ? [] : ['immutable']), ...changed].map((field) => ({
    field,
    message,
    reason: 'FieldValueForbidden',
  }))
}
