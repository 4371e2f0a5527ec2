import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain } from '#base/fault.ts'
import { sameJson } from '#base/json.ts'
import type { GuestAccounts } from '#core/ports.ts'
import {
  type AgentCredentials,
  agentCredentials,
  agentSecrets,
  type CredentialSync,
} from '#core/vm/access-credentials.ts'

/** How often the Secrets are looked at, and what failed is tried again, milliseconds. */
const everyMs = 3000

type Watched = {
  vmi: VirtualMachineInstance
  /** What the guest has by us, as text. */
  applied: string | undefined
  sync: CredentialSync | undefined
  timer: NodeJS.Timeout | undefined
}

type Options = Readonly<{
  accountsOf: (uid: string) => GuestAccounts | undefined
  readSecret: (namespace: string, name: string) => Promise<ReadonlyMap<string, Uint8Array> | undefined>
  /** Called when the state of a guest's credentials changes, by UID of the sandbox. */
  onNews: (uid: string) => void
  signal: AbortSignal
}>

/**
 * Gives guests their SSH keys and passwords by their agents, once after the agent has connected and again when a Secret changes.
 */
export class GuestCredentials {
  readonly #watched = new Map<string, Watched>()
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
    options.signal.addEventListener('abort', () => {
      for (const uid of [...this.#watched.keys()]) this.forget(uid)
    })
  }

  /** What is known of a guest's credentials; undefined until they were tried, and for one that has none. */
  sync(uid: string): CredentialSync | undefined {
    return this.#watched.get(uid)?.sync
  }

  /** Sees to the credentials of a guest whose agent is connected. */
  watch(uid: string, vmi: VirtualMachineInstance): void {
    const known = this.#watched.get(uid)
    if (!agentSecrets(vmi.spec).length) this.forget(uid)
    else if (known) known.vmi = vmi
    else if (!this.#options.signal.aborted) {
      const one: Watched = { vmi, applied: undefined, sync: undefined, timer: undefined }
      this.#watched.set(uid, one)
      void this.#pass(uid, one)
    }
  }

  /** Forgets a guest. When its agent connects again, its credentials are set again. */
  forget(uid: string): void {
    clearTimeout(this.#watched.get(uid)?.timer)
    this.#watched.delete(uid)
  }

  async #pass(uid: string, one: Watched): Promise<void> {
    const sync = await this.#apply(uid, one).catch((error: unknown) => ({
      isDone: false as const,
      message: explain(error),
    }))
    if (this.#watched.get(uid) !== one) return
    const isNews = !sameJson(sync, one.sync)
    one.sync = sync
    one.timer = setTimeout(() => void this.#pass(uid, one), everyMs)
    one.timer.unref()
    if (isNews) this.#options.onNews(uid)
  }

  async #apply(uid: string, one: Watched): Promise<CredentialSync> {
    const { accountsOf, readSecret } = this.#options
    const { spec, metadata } = one.vmi
    const found = new Map<string, ReadonlyMap<string, Uint8Array> | undefined>()
    for (const name of agentSecrets(spec)) found.set(name, await readSecret(metadata.namespace ?? 'default', name))
    const wanted = agentCredentials(spec, (name) => found.get(name))
    if ('problem' in wanted) return { isDone: false, message: wanted.problem }
    const text = JSON.stringify([[...wanted.keys], [...wanted.passwords]])
    if (text === one.applied) return { isDone: true }
    const accounts = accountsOf(uid)
    if (!accounts) return one.sync ?? { isDone: false, message: 'The guest agent is not connected' }
    const problems = await this.#set(accounts, wanted)
    if (problems.length) return { isDone: false, message: problems.join('; ') }
    one.applied = text
    return { isDone: true }
  }

  /** Sets everything that can be set; resolves to sentences about the rest. */
  async #set(accounts: GuestAccounts, { keys, passwords }: AgentCredentials): Promise<string[]> {
    const { signal } = this.#options
    const problems: string[] = []
    const attempt = async (what: string, work: Promise<void>) =>
      work.catch((error: unknown) => void problems.push(`${what}: ${explain(error)}`))
    for (const [user, all] of keys)
      await attempt(`SSH keys of user ${user}`, accounts.setAuthorizedKeys(user, all, signal))
    for (const [user, password] of passwords)
      await attempt(`password of user ${user}`, accounts.setPassword(user, password, signal))
    return problems
  }
}
