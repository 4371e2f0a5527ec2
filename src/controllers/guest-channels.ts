import { Pod } from '#apis/core/pod.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Kind, Stored } from '#apis/meta/object.ts'
import { explain, Fault, faultKind } from '#base/fault.ts'
import { activePodName } from '#core/migration/pod-role.ts'
import type { ByteStream, GuestStreams } from '#core/ports.ts'
import type { Verdict } from '#core/vm/actions.ts'
import {
  consoleVerdict,
  forwardTarget,
  forwardVerdict,
  hasGuest,
  noGraphics,
  noSerial,
  screenVerdict,
} from '#core/vm/channels.ts'
import type { Client, Key } from '#machinery/client/client.ts'
import type { Informer } from '#machinery/client/informer.ts'
import type { Action } from '#machinery/rest/actions.ts'
import type { Channel, ChannelCall } from '#machinery/rest/channels.ts'
import { getAction, mustGet, refusal } from './action-kit.ts'
import { type Place, relayConsole } from './console-relay.ts'
import { Newest } from './newest.ts'

/** What answers: the server's own client, its cache of instances, and the streams into the guests of a node. */
export type ChannelContext = Readonly<{
  client: Client
  vmis: Pick<Informer<VirtualMachineInstance>, 'onChange'>
  streamsOf: (node: string) => GuestStreams | undefined
}>

/** The subprotocol of KubeVirt's streams: raw bytes in binary messages. */
const protocol = 'plain.kubevirt.io'

/** The streams into guests that virtctl opens: paths, codes and texts are KubeVirt's (facts/disks.md §B). */
export function guestChannels(context: ChannelContext): readonly Channel[] {
  const typists = new Newest<object>()
  const viewers = new Newest<AbortController>()
  const channel = (
    { plural, kind }: Pick<Kind, 'plural' | 'kind'>,
    subresource: string,
    run: Channel['run'],
  ): Channel => ({
    at: { group: 'subresources.kubevirt.io', version: 'v1', plural },
    ...{ subresource, kind, protocol },
    run,
  })
  return [
    channel(VirtualMachineInstance, 'console', (call) => openConsole(context, typists, call)),
    channel(VirtualMachineInstance, 'vnc', (call) => openScreen(context, viewers, call)),
    {
      ...channel(VirtualMachineInstance, 'portforward', async (call) =>
        openPort(context, await instanceOf(context, call), call),
      ),
      maxArgs: 2,
    },
    { ...channel(VirtualMachine, 'portforward', (call) => openPortOfVm(context, call)), maxArgs: 2 },
  ]
}

/** A picture of the screen is no stream. */
export function screenshotAction(context: ChannelContext): Action {
  return getAction(VirtualMachineInstance, 'vnc/screenshot', async (call) => {
    const vmi = await instanceOf(context, call)
    require(vmi, screenVerdict(vmi))
    const { streams, uid } = await reach(context, vmi)
    const data = await there(noGraphics, () => streams.screenshot(uid, call.signal))
    return { code: 200, bytes: { type: 'image/png', data } }
  })
}

type Running = Stored<VirtualMachineInstance>

function instanceOf({ client }: ChannelContext, { namespace, name }: Required<Key>): Promise<Running> {
  return mustGet(client, VirtualMachineInstance, { namespace, name })
}

/** @throws Fault in the form that Kubernetes gives a refusal */
function require({ metadata }: Running, verdict: Verdict): void {
  if ('refuse' in verdict) throw refusal(VirtualMachineInstance, metadata.name, verdict)
}

/** A device that the guest was not given after all is missing in KubeVirt's words. */
async function there<T>(missing: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (cause) {
    if (faultKind(cause) === 'NotFound') throw new Fault('BadRequest', missing, { cause })
    throw cause
  }
}

/** Where the guest of an instance is; undefined while its pod is not there. */
export async function placeOf({ client }: Pick<ChannelContext, 'client'>, vmi: Running): Promise<Place | undefined> {
  const pod = await client.get(Pod, { namespace: vmi.metadata.namespace, name: activePodName(vmi) })
  return pod && { node: pod.spec.nodeName ?? '', uid: pod.metadata.uid }
}

/** @throws Fault Unavailable when the guest's node cannot be reached from here */
function streamsAt({ streamsOf }: ChannelContext, { node }: Place): GuestStreams {
  const streams = streamsOf(node)
  if (!streams) throw new Fault('Unavailable', `Node ${node} is not connected to this server; see kubectl get nodes`)
  return streams
}

async function reach(context: ChannelContext, vmi: Running): Promise<Readonly<{ streams: GuestStreams; uid: string }>> {
  const place = await placeOf(context, vmi)
  if (!place) throw new Fault('Unavailable', 'The pod of the instance is gone; wait until it runs again')
  return { streams: streamsAt(context, place), uid: place.uid }
}

/** The newest client types, the others go on watching: of KubeVirt's rule (the newest throws the others out) the part that matters. */
async function openConsole(context: ChannelContext, typists: Newest<object>, call: ChannelCall): Promise<ByteStream> {
  const vmi = await instanceOf(context, call)
  require(vmi, consoleVerdict(vmi))
  const place = await placeOf(context, vmi)
  if (!place) throw new Fault('Unavailable', 'The pod of the instance is gone; wait until it runs again')
  const { uid = '' } = vmi.metadata
  const me = {}
  const lines = tailOf(call.query.tailLines)
  const stream = await there(noSerial, () =>
    relayConsole(place, {
      open: (at, signal, tail) =>
        streamsAt(context, at).open(at.uid, { to: 'console', ...(tail === undefined ? lines : { tail }) }, signal),
      follow: (listener) => followGuest(context, vmi, listener),
      isTyping: () => typists.isLast(uid, me),
      signal: call.signal,
    }),
  )
  typists.add(uid, me, call.signal)
  return stream
}

/** How many lines are wanted of what was printed before; of KubeVirt's console all that is buffered. @throws Fault BadRequest */
function tailOf(text: unknown): Readonly<{ tailLines?: number }> {
  if (text === undefined) return {}
  if (typeof text === 'string' && /^\d{1,6}$/.test(text)) return { tailLines: Number(text) }
  throw new Fault('BadRequest', 'tailLines must be a whole number of lines')
}

/** Follows where the guest of an instance is, and calls back with undefined when it has ended. */
function followGuest(
  context: ChannelContext,
  { metadata }: Running,
  listener: (place: Place | undefined) => void,
): () => void {
  let last = Promise.resolve()
  const look = async (vmi: Running | undefined) => {
    if (!vmi || !hasGuest(vmi)) return listener(undefined)
    const place = await placeOf(context, vmi)
    if (place) listener(place)
  }
  const isIt = (vmi: Running | undefined) => vmi?.metadata.uid === metadata.uid
  return context.vmis.onChange((now, before) => {
    // A pod that cannot be read now is read at the next change.
    if (isIt(now) || isIt(before)) last = last.then(() => look(isIt(now) ? now : undefined)).catch(() => undefined)
  })
}

/** The newest client throws the others out, unless it asks to leave them alone (KubeVirt). */
async function openScreen(
  context: ChannelContext,
  viewers: Newest<AbortController>,
  call: ChannelCall,
): Promise<ByteStream> {
  const vmi = await instanceOf(context, call)
  require(vmi, screenVerdict(vmi))
  const { uid: guest = '' } = vmi.metadata
  if (call.query.preserveSession === 'true' && viewers.all(guest).length)
    throw new Fault('Unavailable', 'Active VNC connection. Request denied.')
  const { streams, uid } = await reach(context, vmi)
  const me = new AbortController()
  const signal = AbortSignal.any([call.signal, me.signal])
  const stream = await there(noGraphics, () => streams.open(uid, { to: 'screen' }, signal))
  for (const other of viewers.all(guest)) other.abort()
  viewers.add(guest, me, signal)
  return stream
}

async function openPortOfVm(context: ChannelContext, call: ChannelCall): Promise<ByteStream> {
  const { client } = context
  const { namespace, name } = call
  await mustGet(client, VirtualMachine, { namespace, name })
  const vmi = await client.get(VirtualMachineInstance, { namespace, name })
  if (vmi && hasGuest(vmi)) return openPort(context, vmi, call)
  throw refusal(VirtualMachine, name, { refuse: 'Conflict', text: 'VMI is not started' })
}

async function openPort(context: ChannelContext, vmi: Running, { args, signal }: ChannelCall): Promise<ByteStream> {
  const target = forwardTarget(args)
  if ('refuse' in target) throw new Fault('BadRequest', target.refuse)
  require(vmi, forwardVerdict(vmi))
  const { streams, uid } = await reach(context, vmi)
  try {
    return await streams.open(uid, { to: 'port', ...target }, signal)
  } catch (cause) {
    if (faultKind(cause) === 'Bug') throw cause
    // KubeVirt's text and code, whatever the reason.
    throw new Fault('Internal', `dialing VM: ${explain(cause)}`)
  }
}
