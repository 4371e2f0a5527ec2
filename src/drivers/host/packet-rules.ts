import { delay } from '#base/wait.ts'
import type { Spawn } from '../process/spare-shells.ts'
import { ipBatch } from './links.ts'
import { netnsPath } from './netns.ts'
import { run } from './run.ts'

/** Where rules are: a network namespace by its name, or the host's own. */
export type Where = string | 'host'

/** The tables of ours there are in sandboxes: that of the pod address, and one for each tap. */
const sandboxTable = /^(ip k6t|bridge tap[0-9a-f]+)$/

/** The line that the script below prints when all is made. */
const doneLine = 'made'

/** Lists the rules of each namespace, in one process: every start of a process blocks the event loop for milliseconds. */
const look = `table=$1; shift
for where in "$@"; do
  echo "# $where"
  if [ "$where" = host ]; then nft list table ip "$table"; else nsenter --net="/run/netns/$where" nft list ruleset; fi
done 2>/dev/null
true`

/**
 * Makes links and rules, then more links, and prints a line when all is made. Masquerading forwards packets, and takes those
 * that come from the sandbox's own loopback. An nft that deleted rules exits only after a grace period of the kernel's RCU, which
 * takes three times as long as all the rest; but it echoes the new rules as soon as they are in force.
 */
const apply = `links() { [ -z "$1" ] || printf '%s\\n' "$1" | ip -batch -; }
[ -z "$2" ] || for key in ip_forward conf/all/route_localnet; do echo 1 > /proc/sys/net/ipv4/$key; done
made() { links "$1" && echo ${doneLine}; }
if [ -z "$4" ]; then
  links "$1" & nft -f -; code=$?
  wait $! && [ $code = 0 ] && made "$3"
else
  links "$1" && { stdbuf -oL nft --echo -f - && echo; } | { read -r line && made "$3"; }
fi`

/** Delay of the listing of rules that were applied, milliseconds: their caller has more processes to start first. */
const learnAfterMs = 100

type RuleOptions = Readonly<{ isForwarding?: boolean; before?: readonly string[]; after?: readonly string[] }>

/** A table by family and name, and all of it as nft lists it. */
type Tables = ReadonlyMap<string, string>

/** Tables that were applied, as they were written and as nft lists them; `learning` is set until that is known. */
type Applied = { readonly tables: Tables; meaning?: Tables; learning?: Promise<void> }

/**
 * The rules of the packet filter, in sandboxes and on the host. They are observed, not remembered: a reload of the host's firewall
 * removes them without notice. nft lists rules differently from how they are written, so the listing of a script is learned soon
 * after it was applied, without delaying the caller. A table that was deleted by then is noticed; a rule that another process
 * changed within these milliseconds is not.
 */
export class PacketRules {
  readonly #hostTable: string
  readonly #spawn: Spawn | undefined
  readonly #listed = new Map<Where, Tables>()
  readonly #applied = new Map<Where, Applied>()

  /** `hostTable` is the name of our table (family ip) on the host. `spawn` starts what guests wait for. */
  constructor(hostTable: string, spawn?: Spawn) {
    this.#hostTable = hostTable
    this.#spawn = spawn
  }

  /** Observes the rules of namespaces. One that cannot be entered has none. */
  async look(all: readonly Where[], signal: AbortSignal): Promise<void> {
    if (!all.length) return
    await Promise.all(all.map((where) => this.#applied.get(where)?.learning))
    const before = new Map(this.#applied)
    for (const [where, tables] of await this.#list(all, signal)) {
      // Rules that were applied meanwhile are newer than this listing.
      const applied = this.#applied.get(where)
      if (applied === before.get(where) && !applied?.learning) this.#listed.set(where, tables)
    }
  }

  /** Whether the rules are exactly those of a script, by the last observation or because they were applied since. */
  isRight(where: Where, script: string): boolean {
    return this.#isRight(where, tablesIn(script))
  }

  #isRight(where: Where, wanted: Tables): boolean {
    const applied = this.#applied.get(where)
    const listed = applied?.learning ? applied.tables : this.#listed.get(where)
    return listed?.size === wanted.size && [...wanted].every(([name, text]) => this.#has(where, name, text))
  }

  /** Whether a table has its wanted content. */
  #has(where: Where, name: string, text: string): boolean {
    const applied = this.#applied.get(where)
    if (applied?.tables.get(name) !== text) return false
    if (applied.learning) return true
    const meaning = applied.meaning?.get(name)
    return meaning !== undefined && this.#listed.get(where)?.get(name) === meaning
  }

  /**
   * Makes the rules those of a script, which must replace every table it names; other tables of ours are removed. Tables that are
   * right by the last observation are not touched. `isForwarding` also enables forwarding in the namespace; `before` and `after`
   * are commands of `ip`: the first ones have no order with the rules, the others run when the rules are in force.
   */
  async ensure(
    where: Where,
    script: string,
    { isForwarding = false, before = [], after = [] }: RuleOptions,
    signal: AbortSignal,
  ): Promise<void> {
    const wanted = tablesIn(script)
    const netns = where === 'host' ? undefined : where
    const links = [...before, ...after]
    if (this.#isRight(where, wanted)) return ipBatch(netns, links, signal)
    const known = this.#applied.get(where)
    const listed = known?.learning ? known.tables : this.#listed.get(where)
    const gone = [...(listed?.keys() ?? [])].filter((name) => !wanted.has(name))
    const wrong = [...wanted].filter(([name, text]) => !this.#has(where, name, text))
    // A table is named before it is deleted, so that deleting one that is not there is no error.
    const deleted = (name: string) => `table ${name}\ndelete table ${name}\n`
    const made = wrong.map(([name, text]) => `${!listed || listed.has(name) ? deleted(name) : ''}${text}\n`)
    const input = [...gone.map(deleted), ...made].join('')
    if (input) {
      const enter = netns === undefined ? [] : ['nsenter', `--net=${netnsPath(netns)}`]
      const deletes = input.includes('\ndelete ') ? 'deletes' : ''
      const words = [before.join('\n'), isForwarding ? 'forward' : '', after.join('\n'), deletes]
      const [program = 'sh', ...args] = [...enter, 'sh', '-c', apply, 'sh', ...words]
      this.#listed.delete(where)
      const what = `making the links and packet filter rules of ${where}`
      await run(program, args, { input, signal, doneLine, what, ...(this.#spawn && { spawn: this.#spawn }) })
    } else await ipBatch(netns, links, signal)
    const applied: Applied = { tables: wanted }
    applied.learning = this.#learn(where, applied, signal)
    this.#applied.set(where, applied)
  }

  /** Lists what was just applied. If that fails, or a table is missing, it counts as not applied. */
  async #learn(where: Where, applied: Applied, signal: AbortSignal): Promise<void> {
    const isLast = () => this.#applied.get(where) === applied
    const list = async () => {
      await delay(learnAfterMs, signal)
      // Others were applied meanwhile: these cannot be listed any more.
      return isLast() ? (await this.#list([where], signal)).get(where) : undefined
    }
    const tables = await list().catch(() => undefined)
    delete applied.learning
    if (!isLast()) return
    if (tables) this.#listed.set(where, tables)
    if (tables && [...applied.tables.keys()].every((name) => tables.has(name))) applied.meaning = tables
    else this.#applied.delete(where)
  }

  async #list(all: readonly Where[], signal: AbortSignal): Promise<ReadonlyMap<Where, Tables>> {
    const text = await run('sh', ['-c', look, 'sh', this.#hostTable, ...all], { signal })
    const [, ...parts] = text.split(/^# /m)
    return new Map(
      parts.map((part) => {
        const end = part.indexOf('\n')
        const where = part.slice(0, end)
        return [where, this.#own(where, part.slice(end + 1))]
      }),
    )
  }

  /** Forgets a namespace that is deleted. */
  forget(where: Where): void {
    this.#listed.delete(where)
    this.#applied.delete(where)
  }

  /** Our tables among those listed. */
  #own(where: Where, text: string): Tables {
    const isOwn = (name: string) => (where === 'host' ? name === `ip ${this.#hostTable}` : sandboxTable.test(name))
    return new Map([...tablesIn(text)].filter(([name]) => isOwn(name)))
  }
}

/** The tables with content in a script or a listing. */
function tablesIn(text: string): Tables {
  return new Map([...text.matchAll(/^table (\S+ \S+) \{\n[\s\S]*?^\}$/gm)].map((match) => [match[1]!, match[0]]))
}
