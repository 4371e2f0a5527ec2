import { explain, Fault } from '#base/fault.ts'
import type { VirtualFunction } from '#core/pci/functions.ts'
import {
  restoreCommands,
  type SettingCommand,
  settingCommands,
  settingsIn,
  type VfSettings,
} from '#core/pci/settings.ts'
import { run } from '../run.ts'

/** Runs a program and resolves to its output. */
type Run = (program: string, args: readonly string[], options: Readonly<{ signal: AbortSignal }>) => Promise<string>

/** The settings that a card has for its VFs, by the link that the card has on the host. */
export class VfSettingsDriver {
  readonly #run: Run

  constructor(runProgram: Run = run) {
    this.#run = runProgram
  }

  /** @throws Fault Unavailable */
  async read(vf: VirtualFunction, signal: AbortSignal): Promise<VfSettings> {
    const output = await this.#ip(vf, ['-j', 'link', 'show', 'dev', linkOf(vf)], signal)
    const settings = settingsIn(JSON.parse(output), vf.index)
    if (!settings) throw new Fault('Unavailable', `The card ${linkOf(vf)} does not list its function ${vf.index}`)
    return settings
  }

  /**
   * Makes settings, one after the other; when one fails, those before it are taken back. `before` is what they were at first.
   * @throws Fault Unavailable naming the setting that the card refuses
   */
  async apply(vf: VirtualFunction, wanted: VfSettings, before: VfSettings, signal: AbortSignal): Promise<void> {
    try {
      await this.#set(vf, settingCommands(wanted, await this.read(vf, signal)), signal)
    } catch (error) {
      await this.restore(vf, wanted, before, signal).catch((cause: unknown) => {
        throw new Fault(
          'Unavailable',
          `${explain(error)}; and cannot take back what was set before: ${explain(cause)}`,
          { cause },
        )
      })
      throw error
    }
  }

  /** Puts back what was `wanted` to what it was `before`. @throws Fault Unavailable */
  async restore(vf: VirtualFunction, wanted: VfSettings, before: VfSettings, signal: AbortSignal): Promise<void> {
    await this.#set(vf, restoreCommands(wanted, before, await this.read(vf, signal)), signal)
  }

  async #set(vf: VirtualFunction, commands: readonly SettingCommand[], signal: AbortSignal): Promise<void> {
    for (const words of commands)
      await this.#ip(vf, ['link', 'set', 'dev', linkOf(vf), 'vf', String(vf.index), ...words], signal)
  }

  async #ip(vf: VirtualFunction, args: readonly string[], signal: AbortSignal): Promise<string> {
    try {
      return await this.#run('ip', args, { signal })
    } catch (cause) {
      if (signal.aborted) throw cause
      const words = args.slice(args.indexOf('vf') + 2).join(' ')
      const what = args.includes('set') ? `set ${words} of ${vf.address}` : `read the settings of ${vf.address}`
      throw new Fault('Unavailable', `Cannot ${what}: ${explain(cause)}`, { cause })
    }
  }
}

function linkOf({ parent, address }: VirtualFunction): string {
  if (parent.link === undefined)
    throw new Fault('Unavailable', `The card ${parent.address} of ${address} has no link on the host: load its driver`)
  return parent.link
}
