import type { ApiObject, Kind, Stored } from '#apis/meta/object.ts'

/** Which object of a kind. Cluster-scoped kinds have no namespace. */
export type Key = Readonly<{ namespace?: string; name: string }>

/** One line of a watch. BOOKMARK carries only a resourceVersion that is safe to resume from. */
export type WatchEvent<T extends ApiObject = ApiObject> = Readonly<
  { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: Stored<T> } | { type: 'BOOKMARK'; resourceVersion: string }
>

/** Which objects of a kind: selectors are in kubectl's syntax. */
export type Scope = Readonly<{ namespace?: string; labelSelector?: string; fieldSelector?: string }>

/** Propagation policy for dependents of a deleted object; `Background` by default. */
export type Propagation = 'Background' | 'Foreground' | 'Orphan'

/** Preconditions of a deletion, and its propagation policy. */
export type DeleteOptions = WriteOptions &
  Readonly<{ uid?: string; resourceVersion?: string; propagation?: Propagation }>

/** `dryRun`: everything but the write, to see admission's answer. */
export type WriteOptions = Readonly<{ dryRun?: boolean }>

/** `subresource: 'status'`: only the status is written. */
export type ModifyOptions = WriteOptions & Readonly<{ subresource?: 'status' }>

/**
 * A client of the API server. The process that holds the server talks to it directly, an agent elsewhere over HTTPS: same
 * contract. Errors are Faults whose kind follows the HTTP status (NotFound, Conflict, AlreadyExists, Invalid, Expired …).
 */
export interface Client {
  /** The object, or undefined when it does not exist. */
  get<T extends ApiObject>(kind: Kind<T>, key: Key): Promise<Stored<T> | undefined>
  list<T extends ApiObject>(
    kind: Kind<T>,
    scope?: Scope,
  ): Promise<Readonly<{ items: readonly Stored<T>[]; resourceVersion: string }>>
  /**
   * Changes after `resourceVersion`, in order, batch by batch, until the signal aborts. The server may end a watch at any
   * time; resume from the last resourceVersion seen.
   * @throws Fault Expired when history that far back is gone: list again.
   */
  watch<T extends ApiObject>(
    kind: Kind<T>,
    resourceVersion: string,
    scope: Scope,
    signal: AbortSignal,
  ): AsyncIterable<readonly WatchEvent<T>[]>
  create<T extends ApiObject>(kind: Kind<T>, object: T): Promise<Stored<T>>
  /** An object to create need not have a resourceVersion. */
  create<T extends ApiObject>(kind: Kind<T>, object: T, options: WriteOptions): Promise<T>
  /**
   * Reads, changes and writes; retries on a conflict. `change` returns the new object, or undefined to leave it. Resolves to
   * the object afterwards; undefined when it is gone.
   */
  modify<T extends ApiObject>(
    kind: Kind<T>,
    key: Key,
    change: (current: Stored<T>) => T | undefined,
    options?: ModifyOptions,
  ): Promise<Stored<T> | undefined>
  /** Requests deletion (finalizers may delay it). Deleting a missing object is no error. */
  delete<T extends ApiObject>(kind: Kind<T>, key: Key, options?: DeleteOptions): Promise<void>
}
