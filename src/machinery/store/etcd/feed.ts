import { explain } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { delay } from '#base/wait.ts'
import type { EtcdClient, WatchBatch } from '../../etcd/client.ts'
import { EtcdFault } from '../../etcd/etcd-fault.ts'
import { allKeys } from '../../etcd/messages.ts'
import type { Followers } from '../followers.ts'
import type { Row } from '../store.ts'
import type { View } from '../view.ts'
import { changesOf, type Told } from './changes.ts'
import { compactedIn } from './compaction.ts'
import type { EtcdKeys } from './keys.ts'
import { loadRows } from './load.ts'
import type { Reached } from './reached.ts'
import type { EtcdWriter } from './writer.ts'

/** Pause before a watch that ended is made again, milliseconds. */
const pauseMs = 100

type Parts = Readonly<{
  client: EtcdClient
  keys: EtcdKeys
  view: View
  followers: Followers
  reached: Reached
  writer: Pick<EtcdWriter, 'isBusy' | 'valueOf' | 'noteFed'>
  /** Called with the changes of objects that have come. */
  onChanges: (changes: readonly Told[]) => void
  log: Log
}>

/**
 * Feeds the view by one watch over all keys of etcd, those of other programs too: each revision brings an event then, so
 * that what has come says exactly how far the view is. Progress notifications would say it of fewer keys, and are wrong before
 * etcd 3.4.25 and 3.5.8.
 */
export class EtcdFeed {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Until the signal aborts; a watch that ends is resumed where it was. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, view, log } = this.#parts
    while (!signal.aborted) {
      try {
        for await (const batch of client.watch(allKeys, view.revision, signal)) this.#take(batch)
      } catch (error) {
        if (error instanceof EtcdFault && error.matter === 'compacted') await this.#reload()
        else if (!signal.aborted) log.debug({ cause: explain(error) }, 'The watch of etcd ended; resuming it')
      }
      if (!signal.aborted) await delay(pauseMs, signal).catch(() => undefined)
    }
  }

  #take({ events, revision }: WatchBatch): void {
    const { keys, view, writer, followers, reached, onChanges, log } = this.#parts
    const known = (key: string) => view.rows.get(key)
    const own = (id: string) => writer.valueOf(id)
    const onForeign = (key: string) => log.error({ key }, 'A value in etcd is no object of Patchbay; leaving it out')
    const changes = changesOf(events, { keys, known, own, onForeign })
    for (const { id, change } of changes) if (id) writer.noteFed(id, change.row)
    view.take(changes, revision)
    for (const { kv } of events) if (kv.key.equals(keys.compacted)) view.compactTo(compactedIn(kv.value))
    for (const { change } of changes) {
      const { key } = change.row
      if (!writer.isBusy(key)) followers.tell(key, change.type === 'put' ? change.row : undefined)
    }
    onChanges(changes)
    reached.advance(revision)
  }

  /** After so long without a connection that what was missed is no longer in etcd. */
  async #reload(): Promise<void> {
    const { client, keys, view, followers, reached, log } = this.#parts
    try {
      const { rows, revision } = await loadRows(client, keys, keys.objects)
      const before = new Map(view.rows.list('').map((row) => [row.key, row]))
      view.replace(rows, revision)
      for (const row of changed(before, rows)) followers.tell(row.key, row)
      for (const { key } of rows) before.delete(key)
      for (const key of before.keys()) followers.tell(key, undefined)
      reached.advance(revision)
      log.warn({ revision }, 'Etcd has forgotten changes that were missed; all objects were read again')
    } catch (error) {
      log.error({ cause: explain(error) }, 'Cannot read the objects in etcd again yet')
    }
  }
}

function changed(before: ReadonlyMap<string, Row>, now: readonly Row[]): Row[] {
  return now.filter((row) => before.get(row.key)?.revision !== row.revision)
}
