import { exists } from '#base/file.ts'
import { ipBatch, listLinks } from '../host/links.ts'
import { run } from '../host/run.ts'
import type { Conflist } from './conflist.ts'

/** The link an interface is deleted from: its name, and the path of its network namespace. */
type Where = Readonly<{ netns: string; ifName: string }>

/** The plugins that make a link and, with ipMasq, rules of the host's packet filter for its addresses. */
const masquerading: ReadonlySet<string> = new Set(['bridge', 'ptp'])

/** Whether a network has packet filter rules for each address. */
export function isMasqueraded({ plugins }: Conflist): boolean {
  return plugins.some(({ type, ipMasq }) => masquerading.has(type) && ipMasq === true)
}

/**
 * Gives a link exactly these addresses before it is deleted: plugins find the rules of ipMasq by the addresses on the link,
 * and with bridge binding the guest has them, not the link. A missing link is replaced by a dummy of its name. It is down,
 * so that the network does not see the addresses.
 * @throws Fault Unavailable
 */
export async function restoreAddresses(
  { netns, ifName }: Where,
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  if (!(await exists(netns))) return
  const name = netns.slice(netns.lastIndexOf('/') + 1)
  const isThere = (await listLinks(name, signal)).has(ifName)
  if (!isThere && !addresses.length) return
  const commands = [
    ...(isThere ? [`link set ${ifName} down`, `addr flush dev ${ifName}`] : [`link add ${ifName} type bridge`]),
    ...addresses.map((address) => `addr add ${address} dev ${ifName}`),
  ]
  await ipBatch(name, commands, signal)
}

/**
 * Deletes the rules that lead a container's addresses into its chain of ipMasq, and leaves the chain: cards of one guest on
 * one network share it, and the plugin would flush it with the first card. Resolves to whether there were any; plugins that
 * use nftables have none. `wrap` is put before each program.
 */
export async function deleteSharedRules(
  containerId: string,
  addresses: readonly string[],
  wrap: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  const found = [4, 6].map(async (family) => {
    const own = addresses.filter((address) => address.includes(':') === (family === 6)).map((one) => one.split('/')[0])
    if (!own.length) return false
    const iptables = family === 6 ? 'ip6tables' : 'iptables'
    const call = ([program = '', ...args]: readonly string[], input = '') => run(program, args, { input, signal })
    const rules = (await call([...wrap, `${iptables}-save`, '-t', 'nat'])).split('\n').filter((rule) => {
      const [, source] = /^-A POSTROUTING -s ([^ /]+)/.exec(rule) ?? []
      return own.includes(source) && rule.includes(`id: \\"${containerId}\\"`)
    })
    if (!rules.length) return false
    const deletions = rules.map((rule) => rule.replace('-A', '-D'))
    await call([...wrap, `${iptables}-restore`, '--noflush', '--wait'], `*nat\n${deletions.join('\n')}\nCOMMIT\n`)
    return true
  })
  return (await Promise.all(found)).includes(true)
}
