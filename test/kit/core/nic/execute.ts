import type { Nic } from '#core/nic/nic.ts'
import type { Plan, Step } from '#core/nic/plan.ts'
import type { Cards } from '#core/ports.ts'

/** What can be done to the interfaces of a running guest: to their cards, and to the networks these are on. */
export interface NicDriver extends Omit<Cards, 'traffic'> {
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
