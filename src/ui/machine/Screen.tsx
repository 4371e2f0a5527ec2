import RFB from '@novnc/novnc'
import { useEffect, useRef, useState } from 'preact/hooks'
import { missing } from '../api/rights.ts'
import type { Machine } from '../model/machine.ts'
import { words } from '../words.ts'
import { openChannel } from './channel.ts'
import { shownMachine } from './state.ts'

/** The screen of the machine. */
export function Screen() {
  const machine = shownMachine.value
  const why =
    machine &&
    (machine.host === undefined ? words.machine.notRunning : missing('screen', machine.namespace, machine.name))
  if (!machine || why !== undefined) return <p class="dim">{why}</p>
  return <Session key={machine.vmi?.metadata.uid} machine={machine} />
}

function Session({ machine }: Readonly<{ machine: Machine }>) {
  const box = useRef<HTMLDivElement>(null)
  const [turn, setTurn] = useState(0)
  const [isClosed, setClosed] = useState(false)
  useEffect(() => {
    const element = box.current
    if (!element) return
    setClosed(false)
    element.replaceChildren()
    const screen = new RFB(element, openChannel(machine, 'vnc'))
    screen.scaleViewport = true
    const onEnd = () => setClosed(true)
    screen.addEventListener('disconnect', onEnd)
    return () => {
      screen.removeEventListener('disconnect', onEnd)
      screen.disconnect()
    }
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
      <div class="screen-box" ref={box} role="group" aria-label={words.console.screen} />
    </>
  )
}
