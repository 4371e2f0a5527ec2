import { words } from '../words.ts'
import { dismiss, toasts } from './toasts.ts'

/** Notes of what was done, each with the way back. */
export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, text, isBad, undo }) => (
        <div key={id} class={isBad ? 'toast bad' : 'toast'}>
          <span>{text}</span>
          {undo && (
            <button
              type="button"
              class="quiet"
              onClick={() => {
                dismiss(id)
                undo()
              }}
            >
              {words.done.undo}
            </button>
          )}
          <button type="button" class="icon" aria-label={words.done.close} onClick={() => dismiss(id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  )
}
