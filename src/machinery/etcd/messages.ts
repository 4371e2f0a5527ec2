import { Fields, message } from './wire.ts'

/** A call of etcd's API: its path, and how its answer is read. Requests are made by the functions below. */
export type Method<T> = Readonly<{ path: string; read: (answer: Buffer) => T }>

/** What a key held: the revision that wrote it, and the value. */
export type KeyValue = Readonly<{ key: Buffer; modRevision: number; value: Buffer }>

export type RangeAnswer = Readonly<{ revision: number; kvs: readonly KeyValue[]; more: boolean }>

/** `found` is what the ranges of the branch that was taken found, one after the other. */
export type TxnAnswer = Readonly<{ revision: number; succeeded: boolean; found: readonly KeyValue[] }>

export type EtcdEvent = Readonly<{ type: 'put' | 'delete'; kv: KeyValue; previous?: KeyValue }>

/** One message of a watch. `isFragment`: more events of the same revisions follow. */
export type WatchAnswer = Readonly<{
  revision: number
  created: boolean
  canceled: boolean
  cancelReason: string
  /** Where history begins, when the watch was canceled for wanting older. */
  compactRevision: number
  isFragment: boolean
  events: readonly EtcdEvent[]
}>

export const methods = {
  range: { path: '/etcdserverpb.KV/Range', read: rangeAnswer },
  txn: { path: '/etcdserverpb.KV/Txn', read: txnAnswer },
  compact: { path: '/etcdserverpb.KV/Compact', read: revisionOf },
  alarms: { path: '/etcdserverpb.Maintenance/Alarm', read: alarmNames },
  leaseGrant: { path: '/etcdserverpb.Lease/LeaseGrant', read: revisionOf },
  leaseRevoke: { path: '/etcdserverpb.Lease/LeaseRevoke', read: revisionOf },
  /** A stream as etcd has it, of one question and one answer here: the seconds that are left, 0 for an unknown lease. */
  leaseKeepAlive: { path: '/etcdserverpb.Lease/LeaseKeepAlive', read: (answer: Buffer) => new Fields(answer).int(3) },
  authenticate: { path: '/etcdserverpb.Auth/Authenticate', read: (answer: Buffer) => new Fields(answer).text(2) },
} satisfies Record<string, Method<unknown>>

export const watchPath = '/etcdserverpb.Watch/Watch'

/** A range of keys; without an end it is the one key. */
export type KeyRange = Readonly<{ key: Uint8Array; end?: Uint8Array }>

/** Every key there is. */
export const allKeys: KeyRange = { key: Buffer.of(0), end: Buffer.of(0) }

export type RangeRequest = KeyRange &
  Readonly<{ limit?: number; revision?: number; keysOnly?: boolean; maxModRevision?: number }>

export function rangeRequest({ key, end, limit, revision, keysOnly, maxModRevision }: RangeRequest): Buffer {
  return message([1, key], [2, end], [3, limit], [4, revision], [8, keysOnly], [11, maxModRevision])
}

/** What a transaction expects: the revision that last wrote a key, 0 for a key that is not there. */
type Expectation = Readonly<{ key: Uint8Array; modRevision: number }>

export type Operation =
  | Readonly<{ put: Uint8Array; value: Uint8Array; lease?: number }>
  | Readonly<{ remove: Uint8Array }>
  | Readonly<{ range: Uint8Array }>

export type TxnRequest = Readonly<{
  expect: readonly Expectation[]
  success: readonly Operation[]
  failure: readonly Operation[]
}>

export function txnRequest({ expect, success, failure }: TxnRequest): Buffer {
  // Target 2 is the revision of the last write; result 0, which is equality, is left out.
  const compares = expect.map(({ key, modRevision }) => message([2, 2], [3, key], [6, modRevision]))
  return message([1, compares], [2, success.map(operation)], [3, failure.map(operation)])
}

function operation(one: Operation): Buffer {
  if ('put' in one) return message([2, message([1, one.put], [2, one.value], [3, one.lease])])
  if ('remove' in one) return message([3, message([1, one.remove])])
  return message([1, rangeRequest({ key: one.range })])
}

export function compactRequest(revision: number): Buffer {
  return message([1, revision])
}

/** A lease under a number of our own choice, which ends after so many seconds without being kept alive. */
export function leaseRequest(lease: number, seconds: number): Buffer {
  return message([1, seconds], [2, lease])
}

/** Names a lease that is to be kept alive, or revoked. */
export function leaseNamed(lease: number): Buffer {
  return message([1, lease])
}

/** Asks for the alarms that are raised. */
export function alarmsRequest(): Buffer {
  return message()
}

export function authenticateRequest(name: string, password: string): Buffer {
  return message([1, name], [2, password])
}

/** A watch of a range from a revision on, with what each event replaced, in pieces where messages would be large. */
export function watchRequest({ key, end }: KeyRange, startRevision: number): Buffer {
  return message([1, message([1, key], [2, end], [3, startRevision], [6, true], [8, true])])
}

function revisionOf(answer: Buffer): number {
  return headerRevision(new Fields(answer))
}

function headerRevision(fields: Fields): number {
  return fields.fields(1).int(3)
}

function keyValue(bytes: Buffer): KeyValue {
  const fields = new Fields(bytes)
  return { key: fields.bytes(1), modRevision: fields.int(3), value: fields.bytes(5) }
}

function rangeAnswer(answer: Buffer): RangeAnswer {
  const fields = new Fields(answer)
  return { revision: headerRevision(fields), kvs: fields.all(2).map(keyValue), more: fields.isSet(3) }
}

function txnAnswer(answer: Buffer): TxnAnswer {
  const fields = new Fields(answer)
  const found = fields.all(3).flatMap((response) => new Fields(response).all(1))
  return {
    revision: headerRevision(fields),
    succeeded: fields.isSet(2),
    found: found.flatMap((range) => rangeAnswer(range).kvs),
  }
}

function alarmNames(answer: Buffer): readonly string[] {
  const names = ['NONE', 'NOSPACE', 'CORRUPT']
  return new Fields(answer).all(2).map((alarm) => names[new Fields(alarm).int(2)] ?? 'unknown')
}

export function watchAnswer(answer: Buffer): WatchAnswer {
  const fields = new Fields(answer)
  return {
    revision: headerRevision(fields),
    created: fields.isSet(3),
    canceled: fields.isSet(4),
    compactRevision: fields.int(5),
    cancelReason: fields.text(6),
    isFragment: fields.isSet(7),
    events: fields.all(11).map(event),
  }
}

function event(bytes: Buffer): EtcdEvent {
  const fields = new Fields(bytes)
  const [previous] = fields.all(3)
  return {
    type: fields.int(1) === 1 ? 'delete' : 'put',
    kv: keyValue(fields.bytes(2)),
    ...(previous && { previous: keyValue(previous) }),
  }
}
