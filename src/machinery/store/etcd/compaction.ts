import type { EtcdClient } from '../../etcd/client.ts'
import { EtcdFault } from '../../etcd/etcd-fault.ts'
import { compactRequest, methods, rangeRequest, txnRequest } from '../../etcd/messages.ts'
import type { EtcdKeys } from './keys.ts'

/** Keys that one transaction removes: etcd takes 128 operations at most. */
const removedAtOnce = 100

/** Forgets history in etcd up to a revision, and notes it where other servers learn of it. Several may do it at once. */
export async function compactEtcd(client: EtcdClient, keys: EtcdKeys, revision: number): Promise<void> {
  await noteCompacted(client, keys, revision)
  await removeLastWords(client, keys, revision)
  try {
    await client.call(methods.compact, compactRequest(revision))
  } catch (error) {
    // Another server has done it, or etcd itself.
    if (!(error instanceof EtcdFault && error.matter === 'compacted')) throw error
  }
}

/** The revision up to which history has been forgotten, as the last server to do so noted it. */
export async function readCompacted(client: EtcdClient, keys: EtcdKeys): Promise<number> {
  const { kvs } = await client.call(methods.range, rangeRequest({ key: keys.compacted }))
  return compactedIn(kvs[0]?.value)
}

export function compactedIn(value: Buffer | undefined): number {
  return Number(value?.toString('latin1') ?? 0) || 0
}

async function noteCompacted(client: EtcdClient, keys: EtcdKeys, revision: number): Promise<void> {
  const key = keys.compacted
  const { kvs } = await client.call(methods.range, rangeRequest({ key }))
  if (compactedIn(kvs[0]?.value) >= revision) return
  const expect = [{ key, modRevision: kvs[0]?.modRevision ?? 0 }]
  try {
    await client.call(
      methods.txn,
      txnRequest({ expect, success: [{ put: key, value: Buffer.from(String(revision)) }], failure: [] }),
    )
  } catch (error) {
    // A full etcd takes no put, and needs the compaction the more.
    if (!(error instanceof EtcdFault && error.matter === 'full')) throw error
  }
}

/** The last words of what was deleted at or before the revision: no watch can begin before them any more. */
async function removeLastWords(client: EtcdClient, keys: EtcdKeys, revision: number): Promise<void> {
  for (;;) {
    const request = { ...keys.lastWords, limit: removedAtOnce, keysOnly: true, maxModRevision: revision }
    const { kvs } = await client.call(methods.range, rangeRequest(request))
    if (kvs.length === 0) return
    // One that was written again since is of a later delete.
    const expect = kvs.map(({ key, modRevision }) => ({ key, modRevision }))
    await client.call(
      methods.txn,
      txnRequest({ expect, success: kvs.map(({ key }) => ({ remove: key })), failure: [] }),
    )
  }
}
