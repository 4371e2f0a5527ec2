import { signal } from '@preact/signals'

/** How long an act can be taken back, milliseconds. */
const undoMs = 10_000

/** Most notes at a time: more would cover what they are about. */
const maxToasts = 2

/** A note at the edge of the page; with `undo`, the act can be taken back until the note goes. */
export type Toast = Readonly<{ id: number; text: string; isBad: boolean; undo: (() => void) | undefined }>

export const toasts = signal<readonly Toast[]>([])
let lastId = 0

export function say(
  text: string,
  { isBad = false, undo }: Readonly<{ isBad?: boolean; undo?: () => void }> = {},
): void {
  const id = ++lastId
  toasts.value = [...toasts.value, { id, text, isBad, undo }].slice(-maxToasts)
  setTimeout(() => dismiss(id), undoMs)
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((one) => one.id !== id)
}
