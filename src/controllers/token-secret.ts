import { Secret } from '#apis/core/secret.ts'
import { ServiceAccount } from '#apis/core/serviceaccount.ts'
import type { Stored } from '#apis/meta/object.ts'
import type { Log } from '#base/log.ts'
import {
  accountKeyOf,
  filledTokenSecret,
  isAccountOf,
  type TokenSource,
  tokenSecretType,
} from '#core/access/token-secret.ts'
import type { Client } from '#machinery/client/client.ts'
import { type Informer, makeInformer } from '#machinery/client/informer.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'
import { fromQueueKey, queueKey } from './context.ts'

type Options = Readonly<{
  client: Client
  accounts: Informer<ServiceAccount>
  source: TokenSource
  log: Log
  signal: AbortSignal
}>

/** Fills the Secrets that ask for a token of a ServiceAccount, and deletes those whose ServiceAccount is gone. */
export function startTokenSecretController({ client, accounts, source, log, signal }: Options): Controller {
  const scope = { fieldSelector: `type=${tokenSecretType}` }
  const byAccount = (secret: Stored<Secret>) => accountIndexOf(secret)
  const secrets = makeInformer(client, Secret, scope, { log, signal, indexes: { byAccount } })
  const sources = [() => secrets.synced]
  const controller = runController({ name: 'token-secret', workers: 1, log, signal, reconcile, sources })
  secrets.onChange((now) => {
    if (now) controller.enqueue(queueKey(now))
  })
  accounts.onChange((now, before) => {
    if (now || !before) return
    for (const secret of secrets.indexed('byAccount', queueKey(before))) controller.enqueue(queueKey(secret))
  })
  return controller

  async function reconcile(key: string): Promise<undefined> {
    const secret = secrets.get(fromQueueKey(key))
    if (!secret || secret.metadata.deletionTimestamp) return
    const account = await accountFor(secret)
    if (!account) {
      log.info({ secret: key }, 'Deleting the token Secret of a ServiceAccount that does not exist')
      const { uid, resourceVersion } = secret.metadata
      await client.delete(Secret, secret.metadata, { uid, resourceVersion })
      return
    }
    await client.modify(Secret, secret.metadata, (now) => filledTokenSecret(now, account, source))
  }

  async function accountFor(secret: Stored<Secret>): Promise<Stored<ServiceAccount> | undefined> {
    const key = accountKeyOf(secret)
    const known = key && accounts.get(key)
    if (!key || (known && isAccountOf(secret, known))) return known
    // The cache may lag behind, and a deletion cannot be undone.
    const live = await client.get(ServiceAccount, key)
    return live && isAccountOf(secret, live) ? live : undefined
  }
}

function accountIndexOf(secret: Stored<Secret>): string[] {
  const key = accountKeyOf(secret)
  return key ? [queueKey({ metadata: key })] : []
}
