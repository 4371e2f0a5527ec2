import { randomInt } from 'node:crypto'
import { explain } from '#base/fault.ts'
import { type Log, silent } from '#base/log.ts'
import { delay } from '#base/wait.ts'
import { EtcdClient, type EtcdOptions } from '../../etcd/client.ts'
import { leaseNamed, leaseRequest, methods, rangeRequest, txnRequest } from '../../etcd/messages.ts'
import { EtcdKeys } from './keys.ts'

/** How long a server that was killed still counts as running, seconds. */
const leaseSeconds = 15
const renewMs = 5000

type Where = EtcdOptions & Readonly<{ prefix: string }>

/**
 * Says in etcd that a server runs with the store of a prefix, under a name, until the returned function is called or the process
 * has ended for some seconds. Never fails: a full etcd takes no lease, and the server is to start all the same.
 */
export function announceServer(where: Where & Readonly<{ log: Log }>, name: string): () => Promise<void> {
  const { prefix, log } = where
  // What happens to the members is in the log already, by the client of the store.
  const client = new EtcdClient({ ...where, log: silent })
  const key = new EtcdKeys(prefix).server(name)
  const lease = randomInt(1, 2 ** 47)
  const stop = new AbortController()
  const announce = async () => {
    if ((await client.call(methods.leaseKeepAlive, leaseNamed(lease))) > 0) return
    await client.call(methods.leaseGrant, leaseRequest(lease, leaseSeconds))
    const put = { put: key, value: Buffer.from(name), lease }
    await client.call(methods.txn, txnRequest({ expect: [], success: [put], failure: [] }))
  }
  const run = async () => {
    while (!stop.signal.aborted) {
      await announce().catch((error) =>
        log.debug({ cause: explain(error) }, 'Cannot say in etcd that this server runs'),
      )
      await delay(renewMs, stop.signal).catch(() => undefined)
    }
  }
  const running = run()
  return async () => {
    stop.abort()
    await running
    // What cannot be revoked ends by itself.
    await client.once(methods.leaseRevoke, leaseNamed(lease)).catch(() => undefined)
    client.close()
  }
}

/** The names of the servers that run with the store of a prefix. @throws Fault Unavailable */
export async function findServers(where: Where): Promise<readonly string[]> {
  const client = new EtcdClient(where)
  try {
    const { kvs } = await client.call(methods.range, rangeRequest(new EtcdKeys(where.prefix).servers))
    return kvs.map(({ value }) => value.toString('utf8'))
  } finally {
    client.close()
  }
}
