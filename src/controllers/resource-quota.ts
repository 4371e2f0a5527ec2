import { ResourceQuota } from '#apis/core/resourcequota.ts'
import type { Log } from '#base/log.ts'
import { quotaStatus } from '#core/quota/judge.ts'
import type { Client } from '#machinery/client/client.ts'
import { type Informer, onAnyChange } from '#machinery/client/informer.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'
import { fromQueueKey, queueKey } from './context.ts'

/** What namespaces have used, as admission counts it. */
type Used = Readonly<{
  /** In thousandths. */
  used(namespace: string, resource: string): bigint
  /** `hasRoom`: a namespace may have more of a resource than before. The listener must neither wait nor throw. */
  onChange(listener: (namespace: string, hasRoom: boolean) => void): void
}>

type Options = Readonly<{
  client: Client
  quotas: Informer<ResourceQuota>
  usage: Used
  log: Log
  signal: AbortSignal
}>

/** Writes limits and usage into the status of ResourceQuotas. No decision reads that status. */
export function startResourceQuotaController({ client, quotas, usage, log, signal }: Options): Controller {
  const controller = runController({ name: 'resource-quota', workers: 1, log, signal, reconcile })
  onAnyChange(quotas, (quota) => controller.enqueue(queueKey(quota)))
  usage.onChange((namespace) => {
    for (const { metadata } of quotas.list())
      if (metadata.namespace === namespace) controller.enqueue(queueKey({ metadata }))
  })
  return controller

  async function reconcile(key: string): Promise<undefined> {
    const { namespace, name } = fromQueueKey(key)
    if (!quotas.get({ namespace, name })) return
    await client.modify(
      ResourceQuota,
      { namespace, name },
      (current) => ({ ...current, status: quotaStatus(current, (resource) => usage.used(namespace, resource)) }),
      { subresource: 'status' },
    )
  }
}
