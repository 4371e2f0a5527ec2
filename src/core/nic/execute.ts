import type { Field, Nic } from './nic.ts'
import type { Plan, Step } from './plan.ts'

/** What can be done to the cards of a running guest. Every method is idempotent: done twice is done once. */
export interface CardDriver {
  update(nic: Nic, changed: readonly Field[], signal: AbortSignal): Promise<void>
  /** Gives the guest a card on a network its sandbox has. */
  plug(nic: Nic, signal: AbortSignal): Promise<void>
  /** Asks the guest to let go of a card, and does not wait; none of that name is no error. */
  unplug(nic: Nic, signal: AbortSignal): Promise<void>
}

/** What can be done to the interfaces of a running guest: to their cards, and to the networks these are on. */
export interface NicDriver extends CardDriver {
  /** Moves a card to another network; the guest keeps it. When that fails it is on the network it was on. */
  rewire(nic: Nic, signal: AbortSignal): Promise<void>
}

/** What became of a plan. */
export type Report = Readonly<{
  done: readonly Step[]
  failed: readonly Readonly<{ step: Step; cause: unknown }>[]
}>

/**
 * Runs steps in order. It makes no choices; a step that fails keeps no other from being tried, for each is about an interface
 * of its own, and the next pass plans anew from what it observes.
 */
export async function execute(plan: Plan, driver: NicDriver, signal: AbortSignal): Promise<Report> {
  const done: Step[] = []
  const failed: { step: Step; cause: unknown }[] = []
  for (const step of plan.steps) {
    try {
      signal.throwIfAborted()
      if (step.do === 'update') await driver.update(step.nic, step.changed, signal)
      else await driver[step.do](step.nic, signal)
      done.push(step)
    } catch (cause) {
      failed.push({ step, cause })
    }
  }
  return { done, failed }
}
