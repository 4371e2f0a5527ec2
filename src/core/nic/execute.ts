import type { Field, Nic } from './nic.ts'
import type { Plan, Step } from './plan.ts'

/** What can be done to the interfaces of a running guest. Every method is idempotent: done twice is done once. */
export interface NicDriver {
  update(nic: Nic, changed: readonly Field[], signal: AbortSignal): Promise<void>
}

/** What became of a plan. */
export type Report = Readonly<{ done: readonly Step[]; failed?: Readonly<{ step: Step; cause: unknown }> }>

/** Runs steps in order and stops at the first failure. It makes no choices; the next pass plans from what it observes. */
export async function execute(plan: Plan, driver: NicDriver, signal: AbortSignal): Promise<Report> {
  const done: Step[] = []
  for (const step of plan.steps) {
    try {
      signal.throwIfAborted()
      await driver.update(step.nic, step.changed, signal)
      done.push(step)
    } catch (cause) {
      return { done, failed: { step, cause } }
    }
  }
  return { done }
}
