import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GuestView, Hypervisor } from './ports.ts'

/** What a component may do that was given only a view of a guest; the compiler checks each line. */
export function whatAViewAllows(view: GuestView, own: Hypervisor, signal: AbortSignal): void {
  // @ts-expect-error a domain that is not Patchbay's own is not destroyed
  void view.domain.destroy(signal)
  // @ts-expect-error nor shut down
  void view.domain.shutdown(signal)
  // @ts-expect-error its cards stay as they are
  void view.cards.unplug
  // @ts-expect-error nothing is run in it
  void view.guestAgent.execute
  // @ts-expect-error it is migrated nowhere
  void view.job
  // @ts-expect-error it is no Hypervisor
  own = view
  view = own
  void view.domain.observe(signal)
}

test('a view of a guest has nothing that changes it: tsc checks the lines above', () =>
  assert.equal(typeof whatAViewAllows, 'function'))
