import { eventually } from '#base/wait.ts'
import { path } from '../tools/stage/api.ts'
import { addition, flip } from '../tools/stage/manifests.ts'
import { must } from '../tools/stage/program.ts'
import { root, type Stage } from '../tools/stage/stage.ts'
import { macsOf } from '../tools/stage/views.ts'
import type { Live } from './live.ts'

/** Index of the card that comes and goes in the VMs of benches, behind `default` and `blue`. */
const index = 2

/** A card that is plugged and unplugged through the API. */
export class OurCard {
  readonly name = 'card'
  readonly mac = '02:00:00:00:66:01'
  readonly #stage: Stage
  readonly #vm: string

  constructor(stage: Stage, vm: string) {
    this.#stage = stage
    this.#vm = vm
  }

  plug(network: string): Promise<unknown> {
    return patchVm(this.#stage, this.#vm, addition(this.name, network, { macAddress: this.mac, state: 'up' }))
  }

  unplug(): Promise<unknown> {
    return patchVm(this.#stage, this.#vm, flip({ [index]: 'absent' }))
  }

  /** Waits until nothing is left of it, in the VM neither. */
  async isGone(): Promise<void> {
    const isForgotten = async () => !(await macsOf(this.#stage, this.#vm)).has(this.name)
    await eventually('the VM forgets its card', isForgotten, { deadlineMs: 60_000, everyMs: 10 })
  }
}

type Run = (verb: string, ...bridges: readonly string[]) => Promise<string>

/** A card that somebody with a shell plugs into the same guest. */
export class HandCard {
  readonly name = 'hand'
  readonly mac = '02:00:00:00:66:02'
  readonly #run: Run

  private constructor(run: Run) {
    this.#run = run
  }

  static async on(stage: Stage, vm: string, { socket }: Live): Promise<HandCard> {
    const netns = `pb-${(await stage.pod(vm)).metadata.uid}`
    return new HandCard((verb, ...bridges) =>
      must('sh', [`${root}/bench/card-by-hand.sh`, verb, netns, socket, `default_${vm}`, ...bridges]),
    )
  }

  plug(bridge: string): Promise<string> {
    return this.#run('plug', bridge)
  }

  unplug(bridge: string): Promise<string> {
    return this.#run('unplug', bridge)
  }

  /** Once the guest has let go of it. */
  clean(bridge: string): Promise<string> {
    return this.#run('clean', bridge)
  }

  rewire(from: string, to: string): Promise<string> {
    return this.#run('rewire', to, from)
  }
}

/** Patches a VM over a warm connection. @throws Error when that is refused */
export async function patchVm(stage: Stage, vm: string, operations: readonly object[]): Promise<void> {
  const { code, body } = await stage.api.call('PATCH', path.vm(vm), operations, 'application/json-patch+json')
  if (code !== 200) throw new Error(`the patch was refused: ${JSON.stringify(body)}`)
}
