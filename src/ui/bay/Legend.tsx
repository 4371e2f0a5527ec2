import type { CableState } from '../model/cable.ts'
import { words } from '../words.ts'

const states: readonly CableState[] = ['up', 'pulled', 'idle', 'moving', 'waiting', 'drifted', 'failed', 'migrating']

/** What the looks of cables mean. */
export function Legend() {
  return (
    <footer class="legend" role="group" aria-label={words.legend}>
      {states.map((state) => (
        <span key={state}>
          <svg width="34" height="12" aria-hidden="true">
            <g class={`cable ${state}`}>
              <path class="wire" d="M2 6H32" pathLength={state === 'pulled' || state === 'drifted' ? 100 : 30} />
            </g>
          </svg>
          {words.states[state]}
        </span>
      ))}
    </footer>
  )
}
