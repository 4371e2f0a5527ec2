import { words } from '../words.ts'

/** Later. */
export function Table() {
  return <main class="view">{words.loading}</main>
}
