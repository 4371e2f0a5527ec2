import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net'
import { networkInterfaces } from 'node:os'
import { Fault } from '#base/fault.ts'

/** Addresses at which a download could reach this host itself or its link, and no registry. */
const local = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  local.addSubnet(network, prefix, 'ipv4')
for (const [network, prefix] of [
  ['::', 127],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  local.addSubnet(network, prefix, 'ipv6')

/** Networks whose addresses carry one of IPv4 in them, and the byte at which it begins. */
const carriers = [
  { prefix: '::ffff:0:0', bits: 96, at: 12 },
  { prefix: '::', bits: 96, at: 12 },
  { prefix: '64:ff9b::', bits: 96, at: 12 },
  { prefix: '2002::', bits: 16, at: 2 },
].map(({ prefix, bits, at }) => {
  const list = new BlockList()
  list.addSubnet(prefix, bits, 'ipv6')
  return { list, at }
})

/** Whether an address is one of this host or its link: loopback, link-local, unspecified, multicast, or one it has. */
export function isLocalAddress(address: string, own: ReadonlySet<string> = ownAddresses()): boolean {
  const [plain = ''] = address.split('%')
  const family = isIP(plain)
  if (family === 0) return true // what cannot be judged is not connected to
  if (family === 4) return own.has(plain) || local.check(plain, 'ipv4')
  if (local.check(plain, 'ipv6')) return true
  const bytes = bytesOf(plain)
  if (own.has(textOf(bytes))) return true
  return carriers.some(
    ({ list, at }) => list.check(plain, 'ipv6') && isLocalAddress([...bytes.subarray(at, at + 4)].join('.'), own),
  )
}

/** The addresses of this host, those of IPv6 in the form of `textOf`. */
function ownAddresses(): ReadonlySet<string> {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return new Set(all.map(({ address }) => (isIPv6(address) ? textOf(bytesOf(address)) : address)))
}

/** The 16 bytes of an address of IPv6. */
function bytesOf(address: string): Buffer {
  const [plain = ''] = address.split('%')
  const hex = plain.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((word) => word.toString(16)).join(':'),
  )
  const [head = '', tail] = hex.split('::')
  const words = (part: string | undefined) => (part ? part.split(':') : [])
  const missing = 8 - words(head).length - words(tail).length
  const all = [...words(head), ...Array.from({ length: tail === undefined ? 0 : missing }, () => '0'), ...words(tail)]
  return Buffer.from(all.map((word) => word.padStart(4, '0')).join(''), 'hex')
}

function textOf(bytes: Buffer): string {
  return bytes.toString('hex')
}

/** A refusal of an address. */
export function localRefusal(host: string, address?: string): Fault {
  const where = address === undefined || address === host ? '' : ` (${address})`
  return new Fault(
    'Forbidden',
    `Downloads from ${host}${where} are refused, because that is this host itself or its own link; name a registry there by --registry-mirror, or allow all of these addresses by --allow-local-downloads`,
  )
}

/**
 * Resolves names for connections, as Node's own `lookup` does, and refuses those that lead to this host. It gives the addresses
 * that are connected to: a name that resolves to another address the next time gains nothing.
 */
export const guardedLookup: LookupFunction = (hostname, options, callback) => {
  const all: LookupOptions & { all: true } = { ...options, all: true }
  lookup(hostname, all, (error, addresses) => {
    if (error) return callback(error, [])
    const bad = addresses.find(({ address }) => isLocalAddress(address))
    if (bad) return callback(localRefusal(hostname, bad.address), [])
    answer(addresses, options.all === true, callback)
  })
}

function answer(addresses: readonly LookupAddress[], isAll: boolean, callback: Parameters<LookupFunction>[2]): void {
  const [first] = addresses
  if (isAll || !first) callback(null, [...addresses])
  else callback(null, first.address, first.family)
}

/** Checks a host that is an address itself, which is never looked up. @throws Fault Forbidden */
export function refuseLocalLiteral(hostname: string): void {
  const plain = hostname.replace(/^\[|\]$/g, '')
  if (isIP(plain) && isLocalAddress(plain)) throw localRefusal(hostname)
}
