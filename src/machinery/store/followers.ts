import type { DecisionListener, Row } from './store.ts'

/** Those who are called with each change as soon as it is decided (`Store.onDecided`). */
export class Followers {
  readonly #listeners: DecisionListener[] = []

  add(listener: DecisionListener): void {
    this.#listeners.push(listener)
  }

  /** `text` is the row's value as JSON, if the caller has it. */
  tell(key: string, row: Row | undefined, text?: string): void {
    for (const listener of this.#listeners) notify(listener, key, row, text)
  }
}

/** Calls one listener with what a key holds. */
export function notify(listener: DecisionListener, key: string, row: Row | undefined, text?: string): void {
  listener(key, row?.value, row ? Buffer.byteLength(text ?? JSON.stringify(row.value)) : 0)
}
