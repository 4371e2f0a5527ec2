import { FitAddon } from '@xterm/addon-fit'
import { Terminal } from '@xterm/xterm'
import '@xterm/xterm/css/xterm.css'
import type { Machine } from '../model/machine.ts'
import { words } from '../words.ts'
import { openChannel } from './channel.ts'
import { OfGuest } from './OfGuest.tsx'
import { Session } from './Session.tsx'
import { withoutStyleElements } from './style-elements.ts'

/** The serial console of the machine. */
export function Console() {
  return (
    <OfGuest act="console">
      {(machine) => (
        <Session
          key={machine.vmi?.metadata.uid}
          machine={machine}
          class="terminal-box"
          label={words.console.label}
          open={openTerminal}
        />
      )}
    </OfGuest>
  )
}

/** Connects a terminal with the console; what it returns ends both. */
function openTerminal(box: HTMLElement, machine: Machine, onClose: () => void): () => void {
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
