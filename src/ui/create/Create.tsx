import { words } from '../words.ts'

/** Later. */
export function Create() {
  return <main class="view">{words.loading}</main>
}
