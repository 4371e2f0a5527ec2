import { Fault } from '#base/fault.ts'
import { isObject, type Json } from '#base/json.ts'

/** One address of a guest's interface. */
type GuestAddress = Readonly<{ family: 'ipv4' | 'ipv6'; address: string; prefix: number }>

/** One interface as the guest sees it. */
export type GuestInterface = Readonly<{ name: string; mac: string | undefined; addresses: readonly GuestAddress[] }>

/** Traffic of one host device as seen from the guest; -1 for an unknown value. */
export type InterfaceStats = Readonly<
  Record<
    'rxBytes' | 'rxPackets' | 'rxErrors' | 'rxDropped' | 'txBytes' | 'txPackets' | 'txErrors' | 'txDropped',
    number
  >
>

type WireInterface = Readonly<{
  name: string
  mac: string | undefined
  addresses: readonly Readonly<{ family: number; address: string; prefix: number }>[]
}>

/** An interface of libvirt's protocol with named address families. */
export function toGuestInterface({ name, mac, addresses }: WireInterface): GuestInterface {
  const toAddress = ({ family, address, prefix }: WireInterface['addresses'][number]): GuestAddress => ({
    family: family === 0 ? 'ipv4' : 'ipv6',
    address,
    prefix,
  })
  return { name, mac, addresses: addresses.map(toAddress) }
}

/**
 * The `return` of a reply from QEMU's monitor or the guest agent, which libvirt passes on as it is.
 * @throws Fault Unsupported for a command that does not exist there; Unavailable for any other error it reports.
 */
export function toReturn(text: string, what: string): Json {
  const reply = parseReply(text, what)
  if (!isObject(reply)) return null
  if (!isObject(reply.error)) return reply.return ?? null
  const { class: name, desc } = reply.error
  const kind = name === 'CommandNotFound' ? 'Unsupported' : 'Unavailable'
  throw new Fault(kind, `The other side of libvirt cannot ${what}`, { cause: new Error(String(desc)) })
}

function parseReply(text: string, what: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch (cause) {
    throw new Fault('Unavailable', `libvirt's answer is not JSON, asked to ${what}`, { cause })
  }
}
