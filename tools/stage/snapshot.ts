import { globSync } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { must, program } from './program.ts'

/** What there is on a host, by kind; each thing is a line for humans. */
export type Snapshot = Readonly<Record<string, readonly string[]>>

/** Whose things are looked for: a data directory, and the UIDs of all pods it ever had. */
export type Owner = Readonly<{ dir: string; uids: Iterable<string> }>

/** What is there and was not before, and what was and is not: a line each, by kind. Empty when nothing is left. */
export function difference(before: Snapshot, after: Snapshot): string[] {
  const kinds = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
  return kinds.flatMap((kind) => {
    const [old, now] = [before[kind] ?? [], after[kind] ?? []]
    return [
      ...without(now, old).map((line) => `${kind}: ${line}`),
      ...without(old, now).map((line) => `${kind}: ${line} is missing`),
    ]
  })
}

/** Of the lines of one list those that the other has not, each as often as it has it too seldom. */
function without(lines: readonly string[], others: readonly string[]): string[] {
  const rest = [...others]
  return lines.filter((line) => {
    const at = rest.indexOf(line)
    if (at >= 0) rest.splice(at, 1)
    return at < 0
  })
}

/**
 * Links, addresses and packet rules of the network namespace we are in, which is to be nobody else's. What the kernel and CNI
 * plugins make once for all, whatever comes and goes afterwards, is left out.
 */
export async function namespaceSnapshot(): Promise<Snapshot> {
  const [links, addresses, v4, v6, nft] = await Promise.all([
    must('ip', ['-j', 'link']),
    must('ip', ['-j', 'addr']),
    must('iptables-save', []),
    must('ip6tables-save', []),
    must('nft', ['-j', 'list', 'ruleset']),
  ])
  return {
    link: (JSON.parse(links) as { ifname: string }[]).map(({ ifname }) => ifname),
    address: addressesIn(JSON.parse(addresses)),
    iptables: iptablesIn(v4),
    ip6tables: iptablesIn(v6),
    nft: nftIn(nft),
  }
}

type Addressed = Readonly<{
  ifname: string
  addr_info: readonly Readonly<{ local: string; prefixlen: number; scope: string }>[]
}>

/** Addresses that somebody gave; those of one link only are the kernel's own. */
function addressesIn(links: readonly Addressed[]): string[] {
  return links.flatMap(({ ifname, addr_info }) =>
    addr_info
      .filter(({ scope }) => scope !== 'link')
      .map(({ local, prefixlen }) => `${local}/${prefixlen} on ${ifname}`),
  )
}

/** Chains that CNI plugins make once for all, and what leads to them; comments, policies and counters are no rules either. */
const onceForAll =
  /^#|^COMMIT|^:[A-Z]+ |^:CNI-(ADMIN|FORWARD|HOSTPORT-\w+) |-j CNI-(FORWARD|ADMIN|HOSTPORT-(DNAT|MASQ))$|^-A CNI-HOSTPORT-(MASQ|SETMARK) /

/** Chains and rules in what iptables-save wrote, each with its table. */
export function iptablesIn(text: string): string[] {
  let table = ''
  return text.split('\n').flatMap((line) => {
    if (line.startsWith('*')) table = line.slice(1)
    if (!line || line.startsWith('*') || onceForAll.test(line)) return []
    return [`${table} ${line.replace(/ ?\[\d+:\d+\]/g, '')}`]
  })
}

type Nft = Readonly<Record<string, Readonly<{ family: string; table?: string; name?: string }>>>

/** Tables of nft that are iptables' own, which tells of them better. */
const iptablesOwn = /^ip6? (filter|nat|mangle|raw|security)$/

/** Where the bridge plugin of CNI has its rules against forged MACs: the table and its base chain stay. */
const spoofTable = 'bridge nat'

/** Everything in what `nft -j list ruleset` wrote, without handles and counters. */
export function nftIn(text: string): string[] {
  const { nftables } = JSON.parse(text) as { nftables: Nft[] }
  return nftables.flatMap((one) => {
    const [kind = '', { family, table, name }] = Object.entries(one)[0]!
    const at = `${family} ${kind === 'table' ? name : table}`
    const isOnceForAll = at === spoofTable && (kind === 'table' || name === 'PREROUTING')
    return kind === 'metainfo' || isOnceForAll || iptablesOwn.test(at) ? [] : [`${at}: ${withoutCounts(one)}`]
  })
}

function withoutCounts(one: unknown): string {
  const isCount = (key: string) => ['handle', 'packets', 'bytes'].includes(key)
  return JSON.stringify(one, (key, value) => (isCount(key) ? undefined : value))
}

/**
 * All that can be found of a data directory outside of it, wherever on the host it is, and what is to be empty inside of it.
 * Others may do the same beside us: only what names the directory or a pod of it counts.
 */
export async function tracesOf({ dir, uids }: Owner): Promise<Snapshot> {
  const words = [dir, ...uids]
  const isOurs = (text: string) => words.some((word) => nameIn(text, word))
  const [mounts, processes, files, inside] = await Promise.all([
    readFile('/proc/self/mountinfo', 'utf8'),
    processesOf(isOurs),
    filesOf(words, isOurs),
    recordsIn(dir),
  ])
  const spaces = await readdir('/run/netns').catch(() => []) // nobody has made one since the host started
  return {
    'network namespace': spaces.filter(isOurs),
    mount: mounts
      .split('\n')
      .filter(isOurs)
      .map((line) => line.split(' ')[4] ?? ''),
    process: processes,
    cgroup: globSync('/sys/fs/cgroup/{*,*/*,*/*/*}/').filter(isOurs),
    file: files,
    ...inside,
  }
}

/** Whether a text has a word that is not part of a longer one. */
function nameIn(text: string, word: string): boolean {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1))
    if (!/[\w-]/.test(text[at + word.length] ?? '')) return true
  return false
}

/** Processes that name the directory, are in it, or see a part of it as theirs; those that have ended do none of it. */
async function processesOf(isOurs: (text: string) => boolean): Promise<string[]> {
  const ownMounts = await readlink('/proc/self/ns/mnt')
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
  const all = pids.map(async (pid) => {
    // What cannot be read is that of a process that ended meanwhile, or of a thread of the kernel.
    const text = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')
    const target = (file: string) => readlink(`/proc/${pid}/${file}`).catch(() => '')
    const [line, mounts, space, groups, ...links] = await Promise.all([
      text('cmdline'),
      text('mountinfo'),
      target('ns/mnt'),
      text('cgroup'),
      target('cwd'),
      target('root'),
    ])
    const said = line.replaceAll('\0', ' ').trim()
    const hasOurs = [said, ...links, ...(said ? [groups] : [])].some(isOurs) || (space !== ownMounts && isOurs(mounts))
    return hasOurs ? [`${pid} ${said}`] : []
  })
  return (await Promise.all(all)).flat()
}

/** Where programs keep what holds until the next start, and CNI plugins what they were told nothing else about. */
const folders = ['/run', '/var/lib/cni']

/** Files that have the directory or a pod in their name or text. */
async function filesOf(words: readonly string[], isOurs: (text: string) => boolean): Promise<string[]> {
  // Folders that do not exist or go meanwhile make either fail, and tell of the rest.
  const [named, told] = await Promise.all([
    program('find', [...folders, '-xdev', '-not', '-path', '/run/netns/*']),
    program('grep', ['-rlsF', '-D', 'skip', ...words.flatMap((word) => ['-e', word]), ...folders]),
  ])
  return [...new Set([...named.stdout.split('\n').filter(isOurs), ...told.stdout.split('\n').filter(Boolean)])]
}

/** Leases, records of networks, and sandboxes of a data directory. */
export async function recordsIn(dir: string): Promise<Snapshot> {
  const inFolder = async (name: string, isRecord: RegExp) => {
    const all = await readdir(`${dir}/${name}`, { recursive: true }).catch(() => []) // never was one
    return all.filter((file) => isRecord.test(file))
  }
  const [lease, record, sandbox] = await Promise.all([
    inFolder('ipam', /(^|\/)[\da-f]*[.:][\da-f.:]+$/),
    inFolder('cni', /\.json$/),
    inFolder('pods', /^[\da-f-]{36}$/),
  ])
  return { lease, record, sandbox }
}
