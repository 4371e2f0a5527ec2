import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import type { NicTraffic, TrafficCounters } from '#core/ports.ts'
import { hasGuest } from '#core/vm/channels.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Action } from '#machinery/rest/actions.ts'
import { getAction, keyOf, mustGet, refusal } from './action-kit.ts'
import { placeOf } from './guest-channels.ts'

/** What answers: the server's own client, and the counters of the guests of a node. */
export type TrafficContext = Readonly<{
  client: Client
  trafficOf: (node: string) => TrafficCounters | undefined
}>

const counters = [
  ...(['rxBytes', 'txBytes', 'rxPackets', 'txPackets'] as const),
  ...(['rxErrors', 'txErrors', 'rxDropped', 'txDropped'] as const),
]

const kind = 'VirtualMachineInstanceTraffic'
const apiVersion = 'subresources.kubevirt.io/v1'

const schema: JsonObject = {
  type: 'object',
  description: 'What has gone over the interfaces of a running guest, as the guest sees it.',
  properties: {
    kind: { type: 'string' },
    apiVersion: { type: 'string' },
    metadata: { type: 'object' },
    observedAt: { type: 'string', format: 'date-time', description: 'When the counters were read.' },
    interfaces: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name'],
        properties: {
          name: { type: 'string' },
          ...Object.fromEntries(counters.map((name) => [name, { type: 'integer', format: 'int64' }])),
        },
      },
    },
  },
}

/** The counters of a guest, read when they are asked for: nothing is counted or kept between two requests. */
export function trafficAction({ client, trafficOf }: TrafficContext): Action {
  const run: Action['run'] = async (call) => {
    const vmi = await mustGet(client, VirtualMachineInstance, keyOf(call))
    const { name, namespace } = vmi.metadata
    const place = hasGuest(vmi) ? await placeOf({ client }, vmi) : undefined
    if (!place) throw refusal(VirtualMachineInstance, call.name, { refuse: 'Conflict', text: 'VMI is not running' })
    const node = trafficOf(place.node)
    if (!node)
      throw new Fault('Unavailable', `Node ${place.node} is not connected to this server; see kubectl get nodes`)
    const nics = await node.ofGuest(place.uid, call.signal)
    const interfaces = nics.map(shown)
    return {
      code: 200,
      body: { kind, apiVersion, metadata: { name, namespace }, observedAt: new Date().toISOString(), interfaces },
    }
  }
  return { ...getAction(VirtualMachineInstance, 'traffic', run), answer: { kind, schema } }
}

/** What the hypervisor does not count is left out. */
function shown(nic: NicTraffic): JsonObject {
  const known = counters.filter((counter) => nic[counter] >= 0)
  return { name: nic.name, ...Object.fromEntries(known.map((counter) => [counter, nic[counter]])) }
}
