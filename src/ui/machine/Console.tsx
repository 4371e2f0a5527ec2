import { FitAddon } from '@xterm/addon-fit'
import { Terminal } from '@xterm/xterm'
import '@xterm/xterm/css/xterm.css'
import { useEffect, useRef, useState } from 'preact/hooks'
import { missing } from '../api/rights.ts'
import type { Machine } from '../model/machine.ts'
import { words } from '../words.ts'
import { openChannel } from './channel.ts'
import { shownMachine } from './state.ts'
import { withoutStyleElements } from './style-elements.ts'

/** The serial console of the machine. */
export function Console() {
  const machine = shownMachine.value
  const why =
    machine &&
    (machine.host === undefined ? words.machine.notRunning : missing('console', machine.namespace, machine.name))
  if (!machine || why !== undefined) return <p class="dim">{why}</p>
  return <Session key={machine.vmi?.metadata.uid} machine={machine} />
}

function Session({ machine }: Readonly<{ machine: Machine }>) {
  const box = useRef<HTMLDivElement>(null)
  const [turn, setTurn] = useState(0)
  const [isClosed, setClosed] = useState(false)
  useEffect(() => {
    if (!box.current) return
    setClosed(false)
    return openTerminal(box.current, machine, () => setClosed(true))
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
      <div class="terminal-box" ref={box} role="group" aria-label={words.console.label} />
    </>
  )
}

/** Connects a terminal with the console; what it returns ends both. */
function openTerminal(box: HTMLElement, machine: Machine, onClose: () => void): () => void {
  box.replaceChildren()
  const terminal = new Terminal({
    cursorBlink: !matchMedia('(prefers-reduced-motion: reduce)').matches,
    fontFamily: 'ui-monospace, "DejaVu Sans Mono", monospace',
    fontSize: 13,
    theme: { background: '#12151a', foreground: '#e6eaf0' },
  })
  const fit = new FitAddon()
  terminal.loadAddon(fit)
  withoutStyleElements(() => terminal.open(box))
  terminal.textarea?.setAttribute('aria-label', words.console.label)
  const observer = new ResizeObserver(() => fit.fit())
  observer.observe(box)
  const socket = openChannel(machine, 'console')
  const encoder = new TextEncoder()
  socket.onmessage = ({ data }) => terminal.write(data instanceof ArrayBuffer ? new Uint8Array(data) : String(data))
  socket.onclose = onClose
  // What is typed before the connection is open is sent when it is.
  const early: string[] = []
  socket.onopen = () => socket.send(encoder.encode(early.join('')))
  terminal.onData((text) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(encoder.encode(text))
    else early.push(text)
  })
  terminal.focus()
  return () => {
    socket.onclose = null
    socket.close()
    observer.disconnect()
    terminal.dispose()
  }
}
