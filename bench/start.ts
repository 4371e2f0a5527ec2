import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { eventually } from '#base/wait.ts'
import { killAll } from '#drivers/host/kill.ts'
import { path } from '../tools/stage/api.ts'
import { vm } from '../tools/stage/manifests.ts'
import { must, program } from '../tools/stage/program.ts'
import { root, type Stage } from '../tools/stage/stage.ts'
import { percentile, show } from './figures.ts'
import { copySandbox, domainXmlOf } from './learn.ts'

const rounds = 5

/** Manifest applied until the guest's CPU runs, against the same sandbox and guest made by hand with a shell's tools. */
export async function benchStart(stage: Stage): Promise<void> {
  const ours: number[] = []
  const theirs: number[] = []
  const hand = await Hand.prepare(stage)
  for (let round = 0; round < rounds; round++) {
    ours.push(await applied(stage, `s${round}`))
    if (round === 0) await hand.learn(`s${round}`)
    await stage.k('delete', 'vm', `s${round}`, '--timeout=120s')
    theirs.push(await hand.start(round))
  }
  await hand[Symbol.asyncDispose]()
  show({
    what: `manifest applied → guest CPU running, p50 of ${rounds}`,
    ours: percentile(ours, 0.5),
    theirs: percentile(theirs, 0.5),
    unit: 'ms',
    promise: 2,
  })
}

/** From the first byte of the POST until the API says Running, which it does only after the guest's CPU has been started. */
async function applied(stage: Stage, name: string): Promise<number> {
  const start = performance.now()
  await stage.api.call('POST', path.vm(), vm(name, { graceSeconds: 0 }))
  await eventually(
    `${name} runs`,
    async () => (await stage.api.call('GET', path.vmi(name))).body.status?.phase === 'Running',
    { deadlineMs: 60_000, everyMs: 2 },
  )
  return performance.now() - start
}

/** What somebody with a shell would do: namespace, CNI plugin, bridge and tap, NAT, DHCP, libvirtd, virsh create. */
class Hand {
  readonly #stage: Stage
  readonly #dir: string
  #xml = ''

  private constructor(stage: Stage, dir: string) {
    this.#stage = stage
    this.#dir = dir
  }

  static async prepare(stage: Stage): Promise<Hand> {
    return new Hand(stage, await mkdtemp('/tmp/pbh-'))
  }

  /** Copies configuration files, warm capability cache and domain from a sandbox of ours, so that both sides run the same. */
  async learn(name: string): Promise<void> {
    const template = `${this.#dir}/template`
    await copySandbox(this.#stage, name, template, ['etc', 'var/cache', 'run/images'])
    this.#xml = await domainXmlOf(this.#stage, name)
  }

  async start(round: number): Promise<number> {
    const dir = `${this.#dir}/r${round}`
    const netns = `pbh-${process.pid}-${round}`
    await cp(`${this.#dir}/template`, dir, { recursive: true })
    for (const part of ['var/lib/libvirt', 'var/log/libvirt', 'var/tmp'])
      await mkdir(`${dir}/${part}`, { recursive: true })
    await writeFile(`${dir}/domain.xml`, this.#xml)
    const start = performance.now()
    try {
      await must('sh', [`${root}/bench/by-hand.sh`, dir, netns, `${root}/src/drivers/libvirt/daemon/sandbox.sh`])
      return performance.now() - start
    } finally {
      await clear(dir, netns)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true })
    // No plugin takes away a bridge that it made.
    await program('ip', ['link', 'delete', 'hand0'])
  }
}

async function clear(dir: string, netns: string): Promise<void> {
  await killAll(dir, netns, undefined)
  await program('sh', [
    '-c',
    'CNI_COMMAND=DEL CNI_CONTAINERID=$1 CNI_NETNS=/run/netns/$1 CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni /usr/lib/cni/bridge < $2/net.json',
    'sh',
    netns,
    dir,
  ])
  await program('ip', ['netns', 'delete', netns])
}
