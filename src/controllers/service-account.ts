import type { Namespace } from '#apis/core/namespace.ts'
import { ServiceAccount } from '#apis/core/serviceaccount.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Informer } from '#machinery/client/informer.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'

type Options = Readonly<{
  client: Client
  namespaces: Informer<Namespace>
  accounts: Informer<ServiceAccount>
  log: Log
  signal: AbortSignal
}>

/** Keeps the ServiceAccount `default` in every namespace, and recreates a deleted one. */
export function startServiceAccountController({ client, namespaces, accounts, log, signal }: Options): Controller {
  const controller = runController({ name: 'service-account', workers: 1, log, signal, reconcile })
  namespaces.onChange((now) => {
    if (now) controller.enqueue(now.metadata.name)
  })
  accounts.onChange((now, before) => {
    if (!now && before?.metadata.namespace) controller.enqueue(before.metadata.namespace)
  })
  return controller

  async function reconcile(namespace: string): Promise<undefined> {
    const found = namespaces.get({ name: namespace })
    if (!found || found.metadata.deletionTimestamp || accounts.get({ namespace, name: 'default' })) return
    try {
      const metadata = { namespace, name: 'default' }
      await client.create(ServiceAccount, {
        apiVersion: apiVersionOf(ServiceAccount),
        kind: ServiceAccount.kind,
        metadata,
      })
    } catch (error) {
      // It exists already, or the namespace is terminating.
      if (!['AlreadyExists', 'Forbidden', 'NotFound'].includes(faultKind(error))) throw error
    }
  }
}
