import { chmod, link, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { silent } from '#base/log.ts'
import { makeOwnFolder } from '#drivers/disk/maker.ts'
import { killAll } from '#drivers/host/kill.ts'
import { sharedQemuUid } from '#drivers/libvirt/daemon/config.ts'
import {
  type MigrationSocketDir,
  migrationSocketDirs,
  migrationSocketPath,
  qemuSocketDir,
  socketPath,
  startDaemon,
} from '#drivers/libvirt/daemon/daemon.ts'
import { runInGuest } from '../tools/stage/guest.ts'
import { must, program } from '../tools/stage/program.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { copySandbox, domainXmlOf } from './learn.ts'

/** How a guest is moved; the same on both sides. */
export type Limits = Readonly<{ bandwidthMiBs: number; maxDowntimeMs: number }>

type Place = Readonly<{ dir: string; netns: string }>

/**
 * Two sandboxes made by hand beforehand, libvirtd and taps and all, and one guest that goes from one to the other. They are as
 * Patchbay makes its own; the guest is a copy of one of its.
 */
export class HandPair implements AsyncDisposable {
  readonly #dir: string
  readonly #places: readonly [Place, Place]
  readonly #meeting: MigrationSocketDir
  #isSecond = false
  /** MAC address of the guest's card on the bridge. */
  readonly mac = '02:00:00:00:66:03'

  private constructor(dir: string) {
    this.#dir = dir
    const place = (name: string): Place => ({ dir: `${dir}/${name}`, netns: `pbh-${process.pid}-${name}` })
    this.#places = [place('a'), place('b')]
    this.#meeting = { dir: `${dir}/a`, name: 'hand' }
  }

  /** Copies the guest of `vm`, whose second card is on `bridge`. */
  static async make(stage: Stage, vm: string, bridge: string): Promise<HandPair> {
    const pair = new HandPair(await mkdtemp('/tmp/pbh-'))
    await chmod(pair.#dir, 0o755)
    const xml = await domainXmlOf(stage, vm)
    const taps = [...xml.matchAll(/<target dev='(tap[0-9a-f]+)'/g)].map(([, tap = '']) => tap)
    for (const place of pair.#places) {
      await copySandbox(stage, vm, place.dir, ['var/cache', 'run/images'])
      await makeOwnFolder(place.dir, sharedQemuUid)
      await network(place.netns, taps, bridge)
      const isSecond = place === pair.#places[1]
      await startDaemon({
        ...{ dir: place.dir, netns: `/run/netns/${place.netns}`, log: silent, user: sharedQemuUid },
        // Where both meet: a folder of the first one.
        ...(isSecond && { incoming: pair.#meeting }),
      })
    }
    for (const { dir } of pair.#places)
      await link(socketPath(dir), join(migrationSocketPath(pair.#meeting), basename(dir)))
    let card = 0
    const own = xml.replace(/<mac address='[^']*'/g, () => `<mac address='${['02:00:00:00:66:04', pair.mac][card++]}'`)
    await writeFile(`${pair.#dir}/domain.xml`, own.replace(/<name>[^<]*</, '<name>hand<'))
    await pair.#virsh('create', `${pair.#dir}/domain.xml`)
    return pair
  }

  guest(line: string): Promise<string> {
    return runInGuest((...args) => this.#virsh(...args), 'hand', line)
  }

  /** Moves the guest to where it is not; resolves to the milliseconds that `virsh migrate` took. */
  async migrate({ bandwidthMiBs, maxDowntimeMs }: Limits): Promise<number> {
    const to = this.#places[this.#isSecond ? 0 : 1]
    await this.#virsh('migrate-setmaxdowntime', 'hand', String(maxDowntimeMs))
    await rm(join(migrationSocketPath(this.#meeting), qemuSocketDir, 'qemu.sock'), { force: true })
    const place = join(migrationSocketDirs, this.#meeting.name)
    const start = performance.now()
    await this.#virsh(
      ...['migrate', 'hand', `qemu+unix:///system?socket=${place}/${basename(to.dir)}`],
      ...['--migrateuri', `unix://${place}/${qemuSocketDir}/qemu.sock`, '--live', '--p2p', '--abort-on-error'],
      ...['--bandwidth', String(bandwidthMiBs)],
    )
    this.#isSecond = !this.#isSecond
    return performance.now() - start
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { dir, netns } of this.#places) {
      await killAll(dir, netns, undefined)
      await program('ip', ['netns', 'delete', netns])
    }
    await rm(this.#dir, { recursive: true, force: true })
  }

  async #virsh(...args: readonly string[]): Promise<string> {
    const { dir } = this.#places[this.#isSecond ? 1 : 0]
    return (await must('virsh', ['-q', '-c', `qemu+unix:///system?socket=${socketPath(dir)}`, ...args])).trim()
  }
}

/** A namespace with the guest's taps, the second of which is joined to a bridge of the host. */
async function network(netns: string, [first, second]: readonly string[], bridge: string): Promise<void> {
  const veth = `v${netns.slice(4)}`
  await must('ip', ['netns', 'add', netns])
  await must('ip', ['link', 'add', veth, 'type', 'veth', 'peer', 'name', 'net1', 'netns', netns])
  await must('ip', ['link', 'set', veth, 'master', bridge, 'up'])
  const commands = [
    'link set lo up',
    'link add k6t-hand type bridge forward_delay 0 stp_state 0 mcast_snooping 0',
    'link set net1 master k6t-hand up',
    ...[first, second].flatMap((tap) => [
      `tuntap add dev ${tap} mode tap user ${sharedQemuUid} vnet_hdr`,
      `link set ${tap} up`,
    ]),
    `link set ${second} master k6t-hand`,
    'link set k6t-hand up',
  ]
  await must('ip', ['-n', netns, '-batch', '-'], { input: `${commands.join('\n')}\n` })
}
