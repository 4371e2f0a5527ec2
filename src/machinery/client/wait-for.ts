import type { ApiObject } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import type { Informer } from './informer.ts'

/**
 * Waits until an object meets `isDone`, by an informer and without polling. `from` is the object as last written or read:
 * older versions in the informer do not count. `isDone` gets undefined when the object is gone; `isGone` asks the server
 * whether it is, when the informer lacks the object.
 * @throws what `isDone` or `isGone` throws, and Fault Aborted when the signal aborts
 */
export function waitFor<T extends ApiObject>(
  informer: Pick<Informer<T>, 'get' | 'onChange'>,
  from: T,
  isDone: (object: T | undefined) => boolean,
  { isGone, signal }: Readonly<{ isGone: () => Promise<boolean>; signal: AbortSignal }>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const { metadata } = from
    const look = (object: T | undefined) => {
      try {
        if (isDone(object)) settle(resolve)
      } catch (error) {
        settle(() => reject(error))
      }
    }
    const abort = () => settle(() => reject(new Fault('Aborted', 'The wait was aborted', { cause: signal.reason })))
    let forget = () => {}
    let isSettled = false
    function settle(then: () => void): void {
      isSettled = true
      signal.removeEventListener('abort', abort)
      forget()
      then()
    }
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    forget = informer.onChange((now, before) => {
      if (isSettled) return
      if (now && isSameName(now, from) && revisionOf(now) >= revisionOf(from)) look(now)
      // A deletion is final, however old the informer's last version.
      if (!now && before?.metadata.uid === metadata.uid) look(undefined)
    })
    // The cached object has settled it.
    if (isSettled) return forget()
    if (informer.get(metadata)) return
    isGone().then(
      (gone) => gone && !isSettled && !informer.get(metadata) && look(undefined),
      (error: unknown) => !isSettled && settle(() => reject(error)),
    )
  })
}

function isSameName({ metadata: a }: ApiObject, { metadata: b }: ApiObject): boolean {
  return a.name === b.name && a.namespace === b.namespace
}

function revisionOf({ metadata }: ApiObject): number {
  return Number(metadata.resourceVersion ?? 0)
}
