import type { JsonObject } from '#base/json.ts'

/** The metadata of every object (the served part of Kubernetes' ObjectMeta). Times are RFC 3339, UTC, whole seconds. */
export type ObjectMeta = Readonly<{
  name: string
  namespace?: string
  generateName?: string
  uid?: string
  resourceVersion?: string
  generation?: number
  creationTimestamp?: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  labels?: Readonly<Record<string, string>>
  annotations?: Readonly<Record<string, string>>
  finalizers?: readonly string[]
  ownerReferences?: readonly OwnerReference[]
  managedFields?: readonly ManagedFieldsEntry[]
}>

/** A tree of the names of fields. */
export type FieldSet = { readonly [key: string]: FieldSet }

/** The fields that one writer owns. `fieldsV1` is a tree of field names (see machinery/rest/apply). */
export type ManagedFieldsEntry = Readonly<{
  manager: string
  operation: 'Apply' | 'Update'
  apiVersion: string
  time?: string
  fieldsType: 'FieldsV1'
  fieldsV1: FieldSet
  subresource?: string
}>

export type OwnerReference = Readonly<{
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}>

/** The common fields of all kinds. */
export type ApiObject = Readonly<{ apiVersion: string; kind: string; metadata: ObjectMeta }>

/** Metadata of a cluster-scoped object. */
export type ClusterMeta = ObjectMeta & Readonly<{ namespace?: never }>

/** The common type of cluster-scoped kinds, by which `Stored` recognizes them. */
type ClusterObject = Readonly<{ metadata: ClusterMeta }>

/** Metadata with the fields that the server always sets when an object is created. */
export type StoredMeta = ObjectMeta & Readonly<{ uid: string; resourceVersion: string; creationTimestamp: string }>

/** The namespace of a stored object: required for namespaced kinds, and unknown for an object of any kind. */
type Placed<T> = [keyof T] extends [keyof ApiObject]
  ? unknown
  : string extends keyof T
    ? unknown
    : [T] extends [ClusterObject]
      ? unknown
      : Readonly<{ namespace: string }>

/**
 * An object as returned by a store or the API: it has uid, resourceVersion and creationTimestamp, and a namespace if its kind is
 * namespaced. An object that is to be sent is a plain `T`.
 */
export type Stored<T extends ApiObject = ApiObject> = T & Readonly<{ metadata: StoredMeta & Placed<T> }>

/** A condition as KubeVirt and Kubernetes write them. */
export type Condition = Readonly<{
  type: string
  status: 'True' | 'False' | 'Unknown'
  reason?: string
  message?: string
  lastTransitionTime?: string | null
  lastProbeTime?: string | null
}>

/** A column of `kubectl get`. `path` is a dot path into the object; `wide` columns show only with `-o wide`. Of a list of
 * conditions at `path`, `condition` shows the status of one; `cell` computes what no path leads to; `or` is the path taken
 * when nothing is at the first. */
export type Column = Readonly<{
  name: string
  type: 'string' | 'integer' | 'date' | 'boolean'
  path: string
  or?: string
  condition?: string
  cell?: (object: JsonObject) => string
  wide?: boolean
}>

/** A JSON Schema of TypeBox. */
export type Schema = JsonObject

/** A subresource whose objects are of another kind than its resource. */
type Subresource = Readonly<{
  name: string
  group: string
  version: string
  kind: string
  verbs: readonly string[]
}>

/** Everything that the generic API machinery needs to know about a kind. `T` is the type of its objects. */
export type Kind<T extends ApiObject = ApiObject> = Readonly<{
  group: string
  version: string
  kind: string
  plural: string
  singular: string
  shortNames: readonly string[]
  categories: readonly string[]
  namespaced: boolean
  /** Has a status subresource: `status` cannot be changed through the object itself, nor the object through `status`. */
  status: boolean
  /** `segment`: names need only fit into a path, as those of roles do (`kubevirt.io:admin`). Else they are DNS subdomains. */
  names?: 'segment'
  /** Its objects neither have owners nor are owners, so that the garbage collector skips them. */
  isUncollected?: boolean
  /** The verbs of the resource, unless it has all. */
  verbs?: readonly string[]
  /** What clients are warned of when they use this version. */
  deprecation?: string
  /** Subresources beside `status`, for discovery. */
  subresources?: readonly Subresource[]
  columns: readonly Column[]
  /** Structural schema of the whole object without metadata. */
  schema: Schema
  /** Ties the type to the value; never present at run time. */
  readonly example?: T
}>

/** `group/version`, or just the version for the core group. */
export function apiVersionOf(kind: Pick<Kind, 'group' | 'version'>): string {
  return kind.group ? `${kind.group}/${kind.version}` : kind.version
}

/** Versions in which kinds of a group are served beside their own: the same objects under another version (KubeVirt). */
export const olderVersions: Readonly<Record<string, readonly string[]>> = { 'kubevirt.io': ['v1alpha3'] }

/** Whether an `apiVersion` is one in which a kind is served. */
export function isVersionOf({ group, version }: Pick<Kind, 'group' | 'version'>, apiVersion: string): boolean {
  return [version, ...(olderVersions[group] ?? [])].some((one) => apiVersionOf({ group, version: one }) === apiVersion)
}

/**
 * Whether a group is Kubernetes' own, whose kinds have types of Go behind them; all others are custom resources (Kubernetes'
 * rule for protected groups).
 */
export function isBuiltIn({ group }: Pick<Kind, 'group'>): boolean {
  return !group.includes('.') || group.endsWith('.k8s.io')
}

/** One error in an object: its field (dot path), message, and cause type as in Kubernetes. */
export type FieldError = Readonly<{
  field: string
  message: string
  reason:
    | 'FieldValueInvalid'
    | 'FieldValueRequired'
    | 'FieldValueDuplicate'
    | 'FieldValueNotSupported'
    | 'FieldValueForbidden'
    | 'FieldValueNotFound'
}>

/** The error of an invalid value. */
export function invalidValue(field: string, message: string): FieldError {
  return { field, message, reason: 'FieldValueInvalid' }
}

/** Most errors reported for one object: more are of no use to users, and each costs many times the size of its value. */
export const maxErrors = 100
