import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { eventually } from '#base/wait.ts'
import { isoImage } from '#drivers/disk/iso.ts'
import { qemuProgram } from '#drivers/libvirt/domain-xml.ts'
import { diskLayer } from '#kit/drivers/image/disks.ts'
import { pushImage, startRegistry, type TestRegistry } from '#kit/drivers/image/registry.ts'
import { path } from '../tools/stage/api.ts'
import { bootMs, buildDistro, sshKey } from '../tools/stage/distro.ts'
import { cloudVm } from '../tools/stage/distro-manifests.ts'
import { ended, must, program } from '../tools/stage/program.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { note, percentile, show } from './figures.ts'
import { pssMb } from './proc.ts'

/** Boots of each side, and measurements of the disk in each. */
const rounds = 3
const writes = 8

/** Room that the guest has on its disk for the measurement, MiB. */
const writtenMiB = 64

const repository = 'containerdisks/debian'

type Key = Awaited<ReturnType<typeof sshKey>>

/** A guest that answers on a port: where, its processes, QEMU first, and how it is ended. */
type Guest = Readonly<{ host: string; port: number; ms: number; pids: readonly number[]; end: () => Promise<void> }>

/**
 * A whole Debian: from its manifest until it lets somebody in, and what its disk takes, against QEMU started by hand with the same
 * image; and an image's way from a registry, against skopeo.
 */
export async function benchDisks(stage: Stage): Promise<void> {
  const registry = await startRegistry()
  const folder = await mkdtemp('/tmp/pbd-')
  try {
    const image = await buildDistro()
    await pushImage(registry.host, repository, [diskLayer(await readFile(image))], '12')
    const key = await sshKey(stage)
    await stage.up(['--registry-mirror', `http://${registry.host}`])
    await pulls(stage, registry, folder)
    const ours: number[] = []
    const theirs: number[] = []
    const [fast, byHand]: [number[], number[]] = [[], []]
    const [here, there]: [number[][], number[][]] = [[], []]
    const sides = [
      { boot: () => applied(stage, key), times: ours, speeds: fast, memory: here },
      { boot: () => started(folder, image, key), times: theirs, speeds: byHand, memory: there },
    ]
    for (let round = 0; round < rounds; round++) {
      const pair: { guest: Guest; speeds: number[] }[] = []
      // The second one boots beside the first: each side is that in turn.
      for (const { boot, times, speeds, memory } of round % 2 ? sides.toReversed() : sides) {
        const guest = await boot()
        pair.push({ guest, speeds })
        times.push(guest.ms)
        // What still sets the guest up would be measured, too.
        await inGuest(guest, key, 'cloud-init status --wait; true')
        memory.push(await Promise.all(guest.pids.map(pssMb)))
      }
      // They take turns, so that what else the host does concerns both.
      for (let i = 0; i < writes; i++) for (const { guest, speeds } of pair) speeds.push(await written(guest, key))
      for (const { guest } of pair) await guest.end()
    }
    const of = (samples: readonly number[]) => percentile(samples, 0.5)
    show({
      what: `manifest applied → SSH answers, p50 of ${rounds}`,
      ours: of(ours),
      theirs: of(theirs),
      unit: 'ms',
      promise: 1.2,
    })
    show({
      what: `the guest's disk, written with O_DIRECT, p50 of ${rounds * writes}`,
      ours: of(fast),
      theirs: of(byHand),
      unit: 'MiB/s',
      promisedAtLeast: 0.95,
    })
    const [qemu = 0, libvirtd = 0] = here.at(-1) ?? []
    show({ what: 'memory of its QEMU', ours: qemu, theirs: there.at(-1)?.[0] ?? 0, unit: 'MB PSS' })
    note('and of its libvirtd', `${libvirtd.toFixed(1)} MB PSS`)
  } finally {
    await registry.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** An image from a registry until a guest can be started from it, against a copy of it by skopeo, which unpacks nothing. */
async function pulls(stage: Stage, registry: TestRegistry, folder: string): Promise<void> {
  const reference = `quay.io/${repository}:12`
  const { code, stderr, ms } = await stage.patchbay(
    'image',
    'pull',
    reference,
    '--registry-mirror',
    `http://${registry.host}`,
  )
  if (code !== 0) throw new Error(`The image cannot be pulled: ${stderr}`)
  const skopeo = await program('skopeo', [
    ...['copy', '--src-tls-verify=false', '--insecure-policy'],
    ...[`docker://${registry.host}/${repository}:12`, `dir:${folder}/skopeo`],
  ]).catch(() => undefined)
  if (skopeo?.code !== 0) note('image pulled, checked and unpacked', `${ms.toFixed(0)} ms (skopeo is not installed)`)
  else
    show({ what: 'image pulled, checked and unpacked', ours: ms, theirs: skopeo.ms, unit: 'ms', other: 'skopeo copy' })
}

const userData = ({ publicKey }: Key) =>
  `#cloud-config\nhostname: bench\nusers:\n- name: debian\n  sudo: ALL=(ALL) NOPASSWD:ALL\n  shell: /bin/bash\n  ssh_authorized_keys: ["${publicKey}"]\n`

async function applied(stage: Stage, key: Key): Promise<Guest> {
  const start = performance.now()
  await stage.apply(cloudVm('bench', { image: `quay.io/${repository}:12`, seed: { userData: userData(key) } }))
  const host = await eventually(
    'the guest has an address',
    async () => (await stage.api.call('GET', path.vmi('bench'))).body.status?.interfaces?.[0]?.ipAddress,
    { deadlineMs: bootMs, everyMs: 20 },
  )
  await answers(host, 22)
  const ms = performance.now() - start
  const pids = [await stage.qemuPid('bench'), await stage.libvirtdPid('bench')]
  return { host, port: 22, ms, pids, end: async () => void (await stage.k('delete', 'vm', 'bench', '--timeout=120s')) }
}

/** What somebody would type who has the image: an overlay, a seed, and QEMU. */
async function started(folder: string, image: string, key: Key): Promise<Guest> {
  const port = 2222
  const [overlay, seed] = [`${folder}/hand.qcow2`, `${folder}/seed.iso`]
  const files = new Map([
    ['meta-data', Buffer.from(JSON.stringify({ 'instance-id': crypto.randomUUID(), 'local-hostname': 'bench' }))],
    ['user-data', Buffer.from(userData(key))],
  ])
  await writeFile(seed, isoImage('cidata', files))
  await rm(overlay, { force: true })
  const start = performance.now()
  await must('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', image, '-F', 'qcow2', overlay])
  const qemu = spawn(
    qemuProgram,
    [
      ...['-machine', 'q35', '-accel', 'tcg,tb-size=256', '-cpu', 'max', '-m', '512', '-display', 'none'],
      ...[
        '-drive',
        `file=${overlay},if=virtio,cache=none,discard=unmap`,
        '-drive',
        `file=${seed},if=virtio,format=raw`,
      ],
      ...['-netdev', `user,id=n,hostfwd=tcp:127.0.0.1:${port}-:22`, '-device', 'virtio-net-pci,netdev=n'],
      ...['-device', 'virtio-rng-pci', '-serial', 'null', '-monitor', 'none'],
    ],
    { stdio: 'ignore' },
  )
  await answers('127.0.0.1', port)
  const ms = performance.now() - start
  return { host: '127.0.0.1', port, ms, pids: [qemu.pid ?? 0], end: () => ended(qemu) }
}

/** Waits until a server of SSH says who it is. */
function answers(host: string, port: number): Promise<unknown> {
  const says = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect({ host, port, timeout: 2000 })
      const done = (isThere: boolean) => {
        socket.destroy()
        resolve(isThere)
      }
      socket.once('data', (data) => done(data.toString().startsWith('SSH-')))
      for (const event of ['error', 'timeout', 'close'] as const) socket.once(event, () => done(false))
    })
  return eventually('the guest answers by SSH', says, { deadlineMs: bootMs, everyMs: 100 })
}

/** What the guest's disk takes, MiB/s, by the guest's own clock. */
async function written(guest: Guest, key: Key): Promise<number> {
  const line = `dd if=/dev/zero of=written bs=1M count=${writtenMiB} oflag=direct 2>&1 | tail -n 1; rm written; sync`
  const said = await inGuest(guest, key, line)
  const [, seconds] = /copied, ([\d.]+) s/.exec(said) ?? []
  if (!seconds) throw new Error(`dd said ${said}`)
  return writtenMiB / Number(seconds)
}

/** Runs a line in a guest; it answers before its users are made, so it is asked again. */
function inGuest({ host, port }: Guest, { file }: Key, line: string): Promise<string> {
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'BatchMode=yes']
  const login = async () => {
    const { code, stdout } = await program(
      'ssh',
      ['-n', '-i', file, '-p', String(port), ...options.flatMap((one) => ['-o', one]), `debian@${host}`, line],
      { timeoutMs: 120_000 },
    )
    return code === 0 && stdout
  }
  return eventually('the guest lets its owner in', login, { deadlineMs: bootMs, everyMs: 500 })
}
