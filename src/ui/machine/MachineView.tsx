import { words } from '../words.ts'

/** Later. */
export function MachineView() {
  return <main class="view">{words.loading}</main>
}
