import { signal } from '@preact/signals'
import type { Entry } from './entries.ts'

/** A menu that is open: where, and what gets the focus back. */
export type OpenMenu = Readonly<{
  label: string
  x: number
  y: number
  entries: readonly Entry[]
  opener: HTMLElement | undefined
}>

export const menu = signal<OpenMenu | undefined>(undefined)

/** Opens a menu below an element. */
export function openMenu(opener: HTMLElement, label: string, entries: readonly Entry[]): void {
  const { left, bottom } = opener.getBoundingClientRect()
  menu.value = { label, x: left, y: bottom, entries, opener }
}

export function closeMenu(): void {
  const { opener } = menu.value ?? {}
  menu.value = undefined
  opener?.focus()
}
