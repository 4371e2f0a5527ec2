import { toBase64 } from '#base/base64.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import { eventually } from '#base/wait.ts'
import type { GuestInterface } from '#core/nic/status.ts'
import type { GuestAgent } from '#core/ports.ts'
import { boundedInterfaces, type GuestInfo } from '#core/vm/guest-info.ts'
import { readGuestInfo } from './guest-info.ts'
import type { DomainHandle } from './handle.ts'

/** Timeout of a guest agent's list of interfaces, milliseconds. */
const agentTimeoutMs = 5000

/** The agent in one sandbox's guest, called through its libvirtd. */
export class LibvirtGuestAgent implements GuestAgent {
  readonly #handle: DomainHandle

  constructor(handle: DomainHandle) {
    this.#handle = handle
  }

  async interfaces(signal: AbortSignal): Promise<readonly GuestInterface[] | undefined> {
    const domain = await this.#handle.find(signal)
    if (!domain) return undefined
    const list = await this.#handle.libvirt.interfaceAddresses(domain, undefined, {
      signal,
      timeoutMs: agentTimeoutMs,
    })
    return boundedInterfaces(
      list.map(({ name, mac, addresses }) => ({ name, mac: mac ?? '', ips: addresses.map((one) => one.address) })),
    )
  }

  info(signal: AbortSignal): Promise<GuestInfo> {
    return readGuestInfo((command) => this.#ask(command, signal))
  }

  async ping(signal: AbortSignal): Promise<void> {
    await this.#ask({ execute: 'guest-ping' }, signal)
  }

  async execute(command: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<number> {
    const [path = '', ...arg] = command
    const started = await this.#ask({ execute: 'guest-exec', arguments: { path, arg } }, signal)
    const pid = isObject(started) ? started.pid : undefined
    if (pid === undefined) throw new Fault('Unavailable', `The guest agent did not start ${path}`)
    return eventually(
      `${path} ends in the guest`,
      async () => {
        const status = await this.#ask({ execute: 'guest-exec-status', arguments: { pid } }, signal)
        if (!isObject(status) || !status.exited) return undefined
        // A command ended by a signal has no exit code.
        return typeof status.exitcode === 'number' ? status.exitcode : 128 + Number(status.signal ?? 0)
      },
      { deadlineMs: timeoutMs, everyMs: 20, signal },
    )
  }

  async setAuthorizedKeys(username: string, keys: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#ask({ execute: 'guest-ssh-add-authorized-keys', arguments: { username, keys, reset: true } }, signal)
  }

  async setPassword(username: string, text: string, signal: AbortSignal): Promise<void> {
    const password = toBase64(text)
    await this.#ask({ execute: 'guest-set-user-password', arguments: { username, password, crypted: false } }, signal)
  }

  async #ask(command: JsonObject, signal: AbortSignal): Promise<Json> {
    const domain = await this.#handle.get(signal)
    return this.#handle.libvirt.agentCommand(domain, command, { signal, timeoutS: agentTimeoutMs / 1000 })
  }
}
