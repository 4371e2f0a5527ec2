import { useEffect, useRef, useState } from 'preact/hooks'
import type { Machine } from '../model/machine.ts'
import { words } from '../words.ts'

type Props = Readonly<{
  machine: Machine
  /** The class of the box that shows it, and what it is called. */
  class: string
  label: string
  /** Connects a box with the guest, and calls back when the connection has ended; what it returns ends both. */
  open: (box: HTMLElement, machine: Machine, onClose: () => void) => () => void
}>

/** A connection with a guest in a box, which its user can open again when it has ended. */
export function Session({ machine, class: name, label, open }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const [turn, setTurn] = useState(0)
  const [isClosed, setClosed] = useState(false)
  useEffect(() => {
    if (!box.current) return
    setClosed(false)
    box.current.replaceChildren()
    return open(box.current, machine, () => setClosed(true))
  }, [turn])
  return (
    <>
      {isClosed && (
        <div class="editor-bar">
          <span role="status">{words.console.closed}</span>
          <button type="button" onClick={() => setTurn(turn + 1)}>
            {words.console.again}
          </button>
        </div>
      )}
      <div class={name} ref={box} role="group" aria-label={label} />
    </>
  )
}
