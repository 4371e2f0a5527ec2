import { randomUUID } from 'node:crypto'
import type { GuestAction } from '#apis/kubevirt/guest.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { Fault } from '#base/fault.ts'
import { timestamp } from '#base/time.ts'
import { guestInfoBody } from '#core/vm/guest-info.ts'
import { powerVerdict, recordOf, withPowerRequest } from '#core/vm/power-request.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import type { Action, ActionCall } from '#machinery/rest/actions.ts'
import { type ActionContext, agentMs, getAction, keyOf, mustGet, putAction, refusal, untilDone } from './action-kit.ts'

const words = { Reset: ['reset', 'been reset'], SoftReboot: ['soft reboot', 'been told to reboot'] } as const

/** Requests to a running guest. The API server does not reach it: the node's agent does, or has reported the answer before. */
export function guestActions(context: ActionContext): readonly Action[] {
  const ask = (subresource: string, action: GuestAction) =>
    putAction(VirtualMachineInstance, subresource, (call) => askGuest(context, call, action))
  return [
    ask('reset', 'Reset'),
    ask('softreboot', 'SoftReboot'),
    getAction(VirtualMachineInstance, 'guestosinfo', (call) => guestInfo(context, call)),
  ]
}

/** Requests one action of the agent and waits for its report. */
async function askGuest(context: ActionContext, call: ActionCall, action: GuestAction): Promise<void> {
  const { client } = context
  const key = keyOf(call)
  const { metadata } = await mustGet(client, VirtualMachineInstance, key)
  const now = Date.now()
  const id = randomUUID()
  const request = { id, action, expires: timestamp(now + agentMs) }
  const decide = (current: VirtualMachineInstance) => {
    const verdict = powerVerdict(current, action, now)
    if ('refuse' in verdict) throw refusal(VirtualMachineInstance, call.name, verdict)
    return withPowerRequest(current, request)
  }
  const requested = await modifySame(client, VirtualMachineInstance, { metadata }, decide, { dryRun: call.dryRun })
  if (call.dryRun) return
  const notRunning = () => refusal(VirtualMachineInstance, call.name, { refuse: 'Conflict', text: 'VM is not running' })
  if (!requested) throw notRunning()
  const [verb, done] = words[action]
  await untilDone(
    context,
    call,
    requested,
    (vmi) => {
      if (!vmi || vmi.metadata.uid !== metadata.uid) throw notRunning()
      const record = recordOf(vmi, id)
      if (!record || record.state === 'Begun') return false
      if (record.state === 'Done') return true
      if (record.state === 'Failed') throw new Fault('Unavailable', `Cannot ${verb} the guest: ${record.message ?? ''}`)
      if (record.state === 'Expired') throw new Fault('Timeout', `The guest has not ${done}: ${tooLate}`)
      throw new Fault('Timeout', `It is not known whether the guest has ${done}; look at it before you ask again`)
    },
    `The guest has not ${done} yet: ${tooLate}`,
  )
}

const tooLate = 'the agent of its node did not answer in time; see its node, and ask again'

async function guestInfo({ client }: ActionContext, call: ActionCall): ReturnType<Action['run']> {
  const vmi = await mustGet(client, VirtualMachineInstance, keyOf(call))
  const info = guestInfoBody(vmi)
  if ('body' in info) return { code: 200, body: info.body }
  // KubeVirt answers 500 in plain text, whatever the reason; virtctl shows that, and of a Status says only that it is unknown.
  const { message } = refusal(VirtualMachineInstance, call.name, { refuse: 'Conflict', text: info.refuse })
  return { code: 500, text: message }
}
