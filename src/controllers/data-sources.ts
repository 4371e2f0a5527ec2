import { DataSource } from '#apis/cdi/datasource.ts'
import type { DataVolume } from '#apis/cdi/datavolume.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { sameJson } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { timestamp } from '#base/time.ts'
import { dataSourceStatus } from '#core/disk/data-sources.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Informer } from '#machinery/client/informer.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'
import { fromQueueKey, queueKey } from './context.ts'

type Key = Readonly<{ namespace: string; name: string }>

type Options = Readonly<{
  client: Client
  dataSources: Informer<DataSource>
  claims: Informer<PersistentVolumeClaim>
  dataVolumes: Informer<DataVolume>
  log: Log
  signal: AbortSignal
}>

/** Says of DataSources whether what they name can be copied. */
export function startDataSourceController(options: Options): Controller {
  const { client, dataSources, claims, dataVolumes, log, signal } = options
  const controller = runController({ name: 'data-sources', workers: 1, log, signal, reconcile })
  // They are few, and one may lead over any other.
  const enqueueAll = () => {
    for (const one of dataSources.list()) controller.enqueue(queueKey(one))
  }
  dataSources.onChange(enqueueAll)
  claims.onChange(enqueueAll)
  dataVolumes.onChange(enqueueAll)
  enqueueAll()
  return controller

  async function reconcile(key: string): Promise<undefined> {
    const found = dataSources.get(fromQueueKey(key))
    if (!found) return
    const now = timestamp()
    const world = {
      dataSource: (one: Key) => dataSources.get(one),
      claim: (one: Key) => claims.get(one),
      dataVolume: (one: Key) => dataVolumes.get(one),
    }
    await modifySame(
      client,
      DataSource,
      found,
      (current) => {
        const status = dataSourceStatus(current, world, now)
        return sameJson(status, current.status) ? undefined : { ...current, status }
      },
      { subresource: 'status' },
    )
  }
}
