import type { ComponentChild } from 'preact'
import { missing } from '../api/rights.ts'
import type { Machine } from '../model/machine.ts'
import type { Act } from '../model/rights.ts'
import { words } from '../words.ts'
import { shownMachine } from './state.ts'

type Props = Readonly<{
  /** What its user must be allowed to do. */
  act: Act
  children: (machine: Machine) => ComponentChild
}>

/** A view of the running guest of the machine, or why there is none. Another guest is another view. */
export function OfGuest({ act, children }: Props) {
  const machine = shownMachine.value
  const why =
    machine && (machine.host === undefined ? words.machine.notRunning : missing(act, machine.namespace, machine.name))
  if (!machine || why !== undefined) return <p class="dim">{why}</p>
  return children(machine)
}
