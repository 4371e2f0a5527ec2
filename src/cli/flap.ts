import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, Fault, faultKind } from '#base/fault.ts'
import { isObject } from '#base/json.ts'
import { delay } from '#base/wait.ts'
import { linkOf } from '#core/nic/desired.ts'
import { flapAnnotation, flapOf, flapText } from '#core/nic/flap.ts'
import { isRunning } from '#core/vm/nic-rows.ts'
import type { HttpClient } from '#machinery/client/http-client.ts'
import type { Context, Interrupts } from './context.ts'
import { declareState, getVm, interfaceOf, type NicKey, type State } from './declare.ts'
import { durationText } from './duration.ts'
import { isOffNetworks, requirePlugged } from './link.ts'
import { linkIn, VmiWatcher } from './vmi-watcher.ts'

export type FlapOptions = Readonly<{ downMs: number; upMs: number; count: number }>

/** Longest time one change may take, milliseconds. The user cannot interrupt it: its outcome would be unknown. */
const changeMs = 10_000
/** How long restoring the earlier state is retried, milliseconds. */
const restoreMs = 30_000
const retryMs = 250

/**
 * Takes a link down and up a number of times, and restores the declared state: also when interrupted, and on failure.
 * Concurrent changes of others are left. @throws Fault, ExitError when interrupted
 */
export async function flap(
  context: Context,
  [name, nic]: readonly [name: string, nic: string],
  options: FlapOptions,
  interrupts: Interrupts,
): Promise<void> {
  const { client, namespace, print } = context
  const key = { namespace, name, nic }
  const before = await stateBefore(client.until(interrupts.signal), key).catch((error: unknown) => {
    interrupts.signal.throwIfAborted()
    throw error
  })
  const { downMs, upMs, count } = options
  print.line(
    `Flapping link of interface ${nic} of VM ${name}: ${count} times down for ${durationText(downMs)} and up for ${durationText(upMs)}`,
  )
  using run = new Flapping(context, key, before, interrupts)
  const mark = await markOf(context, nic, options)
  try {
    await setMark(context, key, mark)
    await run.all(options)
  } catch (error) {
    await run.restore().finally(() => removeMark(context, key, mark))
    throw error
  }
  await run.restore().finally(() => removeMark(context, key, mark))
}

/** What the VM says meanwhile. Past its end it is what a flap has left that died. */
async function markOf({ client }: Context, nic: string, { downMs, upMs, count }: FlapOptions): Promise<string> {
  const answer = await client.call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {})
  const { status } = isObject(answer) ? answer : {}
  const { userInfo } = isObject(status) ? status : {}
  const { username } = isObject(userInfo) ? userInfo : {}
  const periodMs = downMs + upMs
  const until = new Date(Date.now() + count * periodMs + changeMs + restoreMs).toISOString()
  return flapText({ interface: nic, who: String(username), until, periodMs })
}

async function setMark({ client, print }: Context, key: NicKey, mark: string): Promise<void> {
  const { metadata } = await getVm(client, key)
  const other = flapOf(metadata, Date.now())
  if (other)
    print.note(`Interface ${other.interface} of VM ${key.name} is flapped by ${other.who} until ${other.until}`)
  await client.merge(VirtualMachine, key, { metadata: { annotations: { [flapAnnotation]: mark } } })
}

/** Takes our mark away, and that of no other; one that cannot be taken away has an end. */
async function removeMark({ client, print }: Context, key: NicKey, mark: string): Promise<void> {
  const path = `/metadata/annotations/${flapAnnotation.replace('/', '~1')}`
  const ours = client.until(AbortSignal.timeout(changeMs))
  try {
    const { metadata } = await getVm(ours, key)
    if (metadata.annotations?.[flapAnnotation] !== mark) return
    await ours.patch(VirtualMachine, key, [
      { op: 'test', path, value: mark },
      { op: 'remove', path },
    ])
  } catch (error) {
    if (faultKind(error) !== 'NotFound')
      print.note(`VM ${key.name} is still marked as flapped, until the time it says: ${explain(error)}`)
  }
}

/** The declared state of an interface whose link can flap. @throws Fault NotFound, Conflict */
async function stateBefore(client: HttpClient, key: NicKey): Promise<State> {
  const { namespace, name, nic } = key
  const vm = await getVm(client, key)
  const { state } = interfaceOf(vm, nic).one
  requirePlugged(key, state)
  if (isOffNetworks(vm, nic))
    throw new Fault(
      'Conflict',
      `Interface ${nic} of VM ${name} is on no network and its link stays down; put it on one with \`patchbay rewire ${name} ${nic} --network NAME -n ${namespace}\``,
    )
  if (isRunning(await client.get(VirtualMachineInstance, key))) return state
  throw new Fault(
    'Conflict',
    `VM ${name} is not running and has no link to flap; start it with \`patchbay start ${name} -n ${namespace}\``,
  )
}

class Flapping implements Disposable {
  readonly #context: Context
  readonly #key: NicKey
  readonly #before: State
  readonly #interrupts: Interrupts
  readonly #watcher: VmiWatcher
  /** The state after our last change. */
  #state: State
  /** The state that a pending change sets, or one whose outcome is unknown. */
  #pending: Readonly<{ state: State }> | undefined
  #isTheirs = false

  constructor(context: Context, key: NicKey, before: State, interrupts: Interrupts) {
    this.#context = context
    this.#key = key
    this.#before = before
    this.#state = before
    this.#interrupts = interrupts
    this.#watcher = new VmiWatcher(context.client, key, context.print)
    const restoring = `Restoring link of interface ${key.nic} of VM ${key.name} to ${linkOf(before)} before ending`
    interrupts.onRepeat(() =>
      context.print.note(`${restoring}; this takes ${durationText(changeMs + restoreMs)} at most`),
    )
  }

  [Symbol.dispose](): void {
    this.#watcher[Symbol.dispose]()
  }

  async all({ downMs, upMs, count }: FlapOptions): Promise<void> {
    for (let i = 1; i <= count; i++) {
      await this.#flip('down', downMs, `${i}/${count}`)
      await this.#flip('up', upMs, `${i}/${count}`)
    }
  }

  /** Declares a link state and holds it for a time. */
  async #flip(link: 'up' | 'down', ms: number, label: string): Promise<void> {
    const { signal } = this.#interrupts
    signal.throwIfAborted()
    const start = performance.now()
    const passed = () => performance.now() - start
    // In the owner's spelling, so that the manifest ends as it was.
    await this.#declare(linkOf(this.#before) === link ? this.#before : link)
    const declared = durationText(passed())
    const isSeen = await this.#watcher.until(
      (running) => linkIn(running, this.#key.nic) === link,
      Math.max(0, ms - passed()),
      signal,
    )
    const seen = isSeen ? `in the hypervisor after ${durationText(passed())}` : 'not yet in the hypervisor'
    this.#context.print.line(`${label} ${link}: declared after ${declared}, ${seen}`)
    signal.throwIfAborted()
    await delay(Math.max(0, ms - passed()), signal)
  }

  async #declare(state: State): Promise<void> {
    this.#pending = { state }
    const client = this.#context.client.until(AbortSignal.timeout(changeMs))
    const check = (now: State) => this.#requireOurs(now, [this.#state])
    await declareState(client, this.#key, state, { check })
    this.#state = state
    this.#pending = undefined
  }

  #requireOurs(now: State, ours: readonly State[]): void {
    if (ours.includes(now)) return
    this.#isTheirs = true
    const { name, nic } = this.#key
    throw new Fault(
      'Conflict',
      `Another client declared interface ${nic} of VM ${name} ${now || 'up'} meanwhile; it stays so, and is no longer flapped`,
    )
  }

  /** Restores the earlier state, unless another client changed it. @throws Fault naming the state that stays */
  async restore(): Promise<void> {
    if (this.#isTheirs) return
    const { name, nic, namespace } = this.#key
    const link = linkOf(this.#before)
    const deadline = AbortSignal.timeout(restoreMs)
    try {
      await this.#restoreBy(deadline)
    } catch (cause) {
      if (this.#isTheirs || faultKind(cause) === 'NotFound') throw cause
      throw new Fault(
        deadline.aborted ? 'Timeout' : faultKind(cause),
        `Link of interface ${nic} of VM ${name} could not be restored; do so with \`patchbay link ${link} ${name} ${nic} -n ${namespace}\``,
        { cause },
      )
    }
    this.#context.print.line(`Link of interface ${nic} of VM ${name} is declared ${link} as before`)
  }

  async #restoreBy(deadline: AbortSignal): Promise<void> {
    const client = this.#context.client.until(deadline)
    // A change without an answer may still be on its way to the server, and arrive after the first read.
    let isUnsure = this.#pending !== undefined
    const ours = [this.#before, this.#state, ...(this.#pending ? [this.#pending.state] : [])]
    let trouble: unknown
    while (!deadline.aborted) {
      try {
        await declareState(client, this.#key, this.#before, { check: (now) => this.#requireOurs(now, ours) })
        if (!isUnsure) return
        isUnsure = false
      } catch (error) {
        if (this.#isTheirs || !mayPass.has(faultKind(error))) throw error
        trouble = error
      }
      await delay(retryMs)
    }
    throw trouble
  }
}

/** Faults that a retry may cure. */
const mayPass: ReadonlySet<string> = new Set(['Unavailable', 'Timeout', 'TooMany', 'Conflict', 'Aborted'])
