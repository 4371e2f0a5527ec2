import { netnsPath } from './netns.ts'
import { run } from './run.ts'

/** Where rules are: a network namespace by its name, or the host's own. */
export type Where = string | 'host'

/** The tables of ours there are in sandboxes: that of the pod address, and one for each tap. */
const sandboxTable = /^(ip k6t|bridge tap[0-9a-f]+)$/

/** Lists what the kernel has of each namespace, in one process: to start one holds up all of Patchbay for milliseconds. */
const look = `table=$1; shift
for where in "$@"; do
  echo "# $where"
  if [ "$where" = host ]; then nft list table ip "$table"; else nsenter --net="/run/netns/$where" nft list ruleset; fi
done 2>/dev/null
true`

/** Applies rules, and lists what they have become. */
const apply = `nft -f - || exit 1
if [ "$1" = host ]; then nft list table ip "$2"; else nft list ruleset; fi`

/** Masquerading forwards packets, and takes those that come from the sandbox's own loopback. */
const forward = 'for key in ip_forward conf/all/route_localnet; do echo 1 > /proc/sys/net/ipv4/$key; done'

/** A table by family and name, and all of it as nft lists it. */
type Tables = ReadonlyMap<string, string>

/**
 * The rules of the packet filter, in sandboxes and on the host. What there is of them is looked at, not remembered: whoever
 * reloads a firewall tells nobody. The kernel lists rules differently from how they were written, so what a script becomes is
 * learned when it is applied.
 */
export class PacketRules {
  readonly #hostTable: string
  readonly #listed = new Map<Where, Tables>()
  readonly #applied = new Map<Where, Readonly<{ script: string; meaning: Tables }>>()

  /** `hostTable` is the name of our table (family ip) on the host. */
  constructor(hostTable: string) {
    this.#hostTable = hostTable
  }

  /** Looks at what there is. A namespace that cannot be entered has nothing. */
  async look(all: readonly Where[], signal: AbortSignal): Promise<void> {
    if (!all.length) return
    const before = new Map(this.#applied)
    const text = await run('sh', ['-c', look, 'sh', this.#hostTable, ...all], { signal })
    const [, ...parts] = text.split(/^# /m)
    for (const part of parts) {
      const end = part.indexOf('\n')
      const where = part.slice(0, end)
      // What was applied meanwhile was listed with that, and this is from before.
      if (this.#applied.get(where) === before.get(where)) this.#listed.set(where, this.#own(where, part.slice(end + 1)))
    }
  }

  /** Whether the rules there are just those of a script, by the last look. */
  isRight(where: Where, script: string): boolean {
    const applied = this.#applied.get(where)
    const listed = this.#listed.get(where)
    if (!listed) return false
    return script === '' ? listed.size === 0 : applied?.script === script && areSame(applied.meaning, listed)
  }

  /**
   * Makes the rules those of a script, which must replace every table it names; tables of ours that it does not name are removed.
   * Nothing is done where they are so by the last look. `isForwarding` also has the namespace forward packets.
   */
  async ensure(
    where: Where,
    script: string,
    { isForwarding = false }: Readonly<{ isForwarding?: boolean }>,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.isRight(where, script)) return
    const wanted = new Set([...script.matchAll(/^table (\S+ \S+) \{$/gm)].map((match) => match[1]!))
    const gone = [...(this.#listed.get(where)?.keys() ?? [])].filter((name) => !wanted.has(name))
    // A table is named before it is deleted, so that deleting one that is not there is no error.
    const input = gone.map((name) => `table ${name}\ndelete table ${name}\n`).join('') + script
    if (input) {
      const enter = where === 'host' ? [] : ['nsenter', `--net=${netnsPath(where)}`]
      const [program = 'sh', ...args] = [...enter, 'sh', '-c', isForwarding ? `${forward}\n${apply}` : apply]
      this.#listed.delete(where)
      const text = await run(program, [...args, 'sh', where, this.#hostTable], { input, signal })
      this.#listed.set(where, this.#own(where, text))
    }
    this.#applied.set(where, { script, meaning: this.#listed.get(where) ?? new Map() })
  }

  /** Forgets a namespace that is gone, or is to be. */
  forget(where: Where): void {
    this.#listed.delete(where)
    this.#applied.delete(where)
  }

  #own(where: Where, text: string): Tables {
    const isOwn = (name: string) => (where === 'host' ? name === `ip ${this.#hostTable}` : sandboxTable.test(name))
    const tables = [...text.matchAll(/^table (\S+ \S+) \{\n[\s\S]*?^\}$/gm)]
    return new Map(tables.flatMap((match) => (isOwn(match[1]!) ? [[match[1]!, match[0]] as const] : [])))
  }
}

function areSame(a: Tables, b: Tables): boolean {
  return a.size === b.size && [...a].every(([name, text]) => b.get(name) === text)
}
