import type { FieldError } from '#apis/meta/object.ts'
import { explain, Fault, faultKind } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import { http } from '../client/codes.ts'

/** A Kubernetes `Status` answer. */
export type Status = Readonly<{
  kind: 'Status'
  apiVersion: 'v1'
  metadata: Readonly<{ continue?: string }>
  status: 'Success' | 'Failure'
  message?: string
  reason?: string
  details?: JsonObject
  code: number
}>

/** The `Status` of an error. A bug's message names no internals. */
export function failure(error: unknown): Status {
  const kind = faultKind(error)
  const [code, reason] = http[kind]
  const { details: given, retryAfterSeconds: seconds, continue: rest } = error instanceof Fault ? error.data : {}
  const details = isObject(given) ? boundedDetails(given) : undefined
  const message = kind === 'Bug' ? `Internal error occurred: ${explain(error)}` : explain(error)
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: typeof rest === 'string' ? { continue: rest } : {},
    status: 'Failure',
    message: cut(message, maxMessage),
    reason,
    ...((details || seconds !== undefined) && {
      details: { ...details, ...(seconds !== undefined && { retryAfterSeconds: seconds }) },
    }),
    code,
  }
}

/** Longest message of a Status, and of one cause, characters. */
const maxMessage = 4096
/** Longest name or field in the details of a Status, characters. */
const maxName = 1024
/** Most causes of a Status, and most bytes of all of them: with its message it stays below 64 KiB, however it is escaped. */
const maxCauses = 100
const maxCauseBytes = 32 * 1024

/** As many details as a client reads. A last cause counts the omitted ones. */
function boundedDetails(details: JsonObject): JsonObject {
  const { name, causes, ...rest } = details
  const short = typeof name === 'string' ? { ...rest, name: cut(name, maxName) } : rest
  if (!Array.isArray(causes)) return short
  const kept: JsonObject[] = []
  let bytes = 0
  for (const { reason, message, field } of causes.filter(isObject)) {
    const cause = {
      reason,
      message: cut(String(message), maxMessage),
      ...(typeof field === 'string' && { field: cut(field, maxName) }),
    }
    bytes += Buffer.byteLength(JSON.stringify(cause))
    if (kept.length === maxCauses || (kept.length && bytes > maxCauseBytes)) break
    kept.push(cause)
  }
  const left = causes.length - kept.length
  if (left)
    kept.push({ reason: 'FieldValueInvalid', message: `at least ${left} more errors; correct these first`, field: '' })
  return { ...short, causes: kept }
}

function cut(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max)}…` : text
}

/** The `Status` of a completed deletion. */
export function deleted(group: string, plural: string, name: string, uid: string | undefined): Status {
  const details = { name, ...(group && { group }), kind: plural, ...(uid && { uid }) }
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details, code: 200 }
}

type Named = Readonly<{ group: string; plural: string; kind: string }>
const qualified = (kind: Named) => (kind.group ? `${kind.plural}.${kind.group}` : kind.plural)

/** `virtualmachines.kubevirt.io "x" not found` */
export function notFound(kind: Named, name: string): Fault {
  const details = { name, ...(kind.group && { group: kind.group }), kind: kind.plural }
  return new Fault('NotFound', `${qualified(kind)} "${name}" not found`, { data: { details } })
}

/** `virtualmachines.kubevirt.io "x" already exists` */
export function alreadyExists(kind: Named, name: string): Fault {
  const details = { name, ...(kind.group && { group: kind.group }), kind: kind.plural }
  return new Fault('AlreadyExists', `${qualified(kind)} "${name}" already exists`, { data: { details } })
}

/** A conflict: another client wrote first, or the object has another uid. */
export function conflict(kind: Named, name: string, why: string): Fault {
  const details = { name, ...(kind.group && { group: kind.group }), kind: kind.plural }
  return new Fault('Conflict', `Operation cannot be fulfilled on ${qualified(kind)} "${name}": ${why}`, {
    data: { details },
  })
}

/** `namespaces "default" is forbidden: this namespace may not be deleted` */
export function forbidden(kind: Named, name: string, why: string, causes?: readonly Cause[]): Fault {
  const details = { name, ...(kind.group && { group: kind.group }), kind: kind.plural, ...(causes && { causes }) }
  return new Fault('Forbidden', `${qualified(kind)} "${name}" is forbidden: ${why}`, { data: { details } })
}

type Cause = Readonly<{ reason: string; message: string; field: string }>

/** Most causes spelled out in a message; the rest is in `details.causes` (KubeVirt does the same). */
const maxSpelledOut = 10

/**
 * All that is wrong with an object as one 422. With `webhook` the text is the one of KubeVirt's admission webhooks, else the
 * one of the Kubernetes API server.
 */
export function invalid(kind: Named, name: string, errors: readonly FieldError[], webhook?: string): Fault {
  const causes = errors.map(({ field, message, reason }) => ({ reason, message, field }))
  const shown = errors.slice(0, maxSpelledOut)
  const more = errors.length - shown.length
  const details = { name, ...(kind.group && { group: kind.group }), kind: kind.kind, causes }
  const message = webhook
    ? `admission webhook "${webhook}" denied the request: ${shown.map((e) => e.message).join(', ')}${more ? `, and ${more} more validation errors` : ''}`
    : `${kind.kind}${kind.group ? `.${kind.group}` : ''} "${name}" is invalid: ${listed(
        shown.map((e) => `${e.field}: ${e.message}`),
        more,
      )}`
  return new Fault('Invalid', message, { data: { details } })
}

function listed(lines: readonly string[], more: number): string {
  const [only] = lines
  if (only !== undefined && lines.length === 1 && !more) return only
  return `[${lines.join(', ')}${more ? `, and ${more} more` : ''}]`
}
