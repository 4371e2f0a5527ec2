import { Fault } from '#base/fault.ts'
import type { EtcdClient } from '../../etcd/client.ts'
import {
  type KeyRange,
  type KeyValue,
  methods,
  type RangeAnswer,
  type RangeRequest,
  rangeRequest,
} from '../../etcd/messages.ts'
import type { Row } from '../store.ts'
import { rowOf } from './changes.ts'
import type { EtcdKeys } from './keys.ts'

/** Rows of one page. More would be no faster (docs/adr/0016-etcd-client.md), and one answer be many megabytes. */
const pageRows = 500

export type Loaded = Readonly<{ rows: readonly Row[]; revision: number }>

/**
 * All rows of a range as they are at one revision, the newest unless it is given.
 * @throws Fault Expired for a revision that has been compacted, Unavailable for a value that is not of Patchbay
 */
export async function loadRows(
  client: EtcdClient,
  keys: EtcdKeys,
  range: KeyRange,
  revision?: number,
): Promise<Loaded> {
  const rows: Row[] = []
  let at = revision
  let from: Uint8Array | undefined = range.key
  while (from) {
    const request: RangeRequest = { ...range, key: from, limit: pageRows, ...(at !== undefined && { revision: at }) }
    const answer: RangeAnswer = await client.call(methods.range, rangeRequest(request))
    at ??= answer.revision
    for (const kv of answer.kvs) rows.push(requiredRow(keys, kv))
    const last = answer.kvs.at(-1)
    // The smallest key after the last one.
    from = answer.more && last ? Buffer.concat([last.key, Buffer.of(0)]) : undefined
  }
  return { rows, revision: at ?? 0 }
}

/** The row in a key below the prefix. @throws Fault Unavailable */
export function requiredRow(keys: EtcdKeys, kv: KeyValue): Row {
  const meaning = keys.meaning(kv.key)
  const row = meaning && rowOf(meaning.key, kv)
  if (row) return row
  const name = kv.key.toString('utf8')
  throw new Fault(
    'Unavailable',
    `The value of ${name} in etcd is no object of Patchbay: delete it with etcdctl del ${name}`,
  )
}
