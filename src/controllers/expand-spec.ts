import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { JsonObject } from '#base/json.ts'
import { expandedAlone } from '#core/instancetype/expand.ts'
import type { FindTypes } from '#core/instancetype/matcher.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Action } from '#machinery/rest/actions.ts'
import { getAction, keyOf, mustGet, refusal } from './action-kit.ts'

/** Answers a VM as one that needs neither instance type nor preference. */
export function expandSpecAction({ client, types }: Readonly<{ client: Client; types: FindTypes }>): Action {
  return getAction(VirtualMachine, 'expand-spec', async (call) => {
    const vm = await mustGet(client, VirtualMachine, keyOf(call))
    const found = types(vm)
    const [missing] = found.missing
    if (missing) throw refusal(VirtualMachine, call.name, { refuse: 'Conflict', text: missing.why })
    return { code: 200, body: expandedAlone(vm, found) as JsonObject }
  })
}
