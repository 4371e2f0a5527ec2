import RFB from '@novnc/novnc'
import type { Machine } from '../model/machine.ts'
import { words } from '../words.ts'
import { openChannel } from './channel.ts'
import { OfGuest } from './OfGuest.tsx'
import { Session } from './Session.tsx'

/** The screen of the machine. */
export function Screen() {
  return (
    <OfGuest act="screen">
      {(machine) => (
        <Session
          key={machine.vmi?.metadata.uid}
          machine={machine}
          class="screen-box"
          label={words.console.screen}
          open={openScreen}
        />
      )}
    </OfGuest>
  )
}

/** Connects a box with the screen; what it returns ends that. */
function openScreen(box: HTMLElement, machine: Machine, onClose: () => void): () => void {
  const screen = new RFB(box, openChannel(machine, 'vnc'))
  screen.scaleViewport = true
  screen.addEventListener('disconnect', onClose)
  return () => {
    screen.removeEventListener('disconnect', onClose)
    screen.disconnect()
  }
}
