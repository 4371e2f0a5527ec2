import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { eventually } from '../../src/base/wait.ts'
import { freePorts } from '../stage/ports.ts'
import { ended, must } from '../stage/program.ts'
import { root } from '../stage/stage.ts'

/** How long its kernel may take to start, and a script in it to end, milliseconds. */
const startMs = 180_000
const scriptMs = 300_000

/** How often it is started until its kernel does not stall: on a busy machine an emulated processor now and then loses its timer. */
const starts = 4

/** Modules that its first program needs; what a test needs more it loads itself. */
const firstModules = ['virtio_pci', '9pnet_virtio', '9p', 'overlay']

export type RigOptions = Readonly<{
  /** Whether its machine has an IOMMU; yes unless said otherwise. */
  hasIommu?: boolean
}>

/** Its own address on the link by which it is reached, and the port of it that is. */
const doorAddress = '10.77.0.15'
export const doorPort = 6443

/**
 * A virtual machine around the programs of this one, with hardware and a kernel that this one lacks: two igb cards with virtual
 * functions, an IOMMU, all modules of Debian's kernel, and KVM for its guests by nested virtualization. It sees this machine's
 * root, read-only below a layer in memory, and the checkout in /repo.
 */
export class Rig implements AsyncDisposable {
  /** Its folder on this machine, which goes with it. */
  readonly dir: string
  readonly #qemu: ChildProcess
  /** The port of this machine's loopback that leads to the port of the rig, once `openDoor` has been called. */
  readonly port: number
  #next = 0

  private constructor(dir: string, qemu: ChildProcess, port: number) {
    this.dir = dir
    this.#qemu = qemu
    this.port = port
  }

  /** Fetches what it is made of, if that is not there. @throws with the reason where Debian's packages cannot be had */
  static async provide(): Promise<string> {
    return (await must('sh', [`${root}/tools/rig/provide.sh`], { timeoutMs: 600_000 })).trim()
  }

  /** Starts it, and starts it again when its kernel says that a processor stands still. @throws with its console */
  static async start(options: RigOptions = {}): Promise<Rig> {
    for (let left = starts; ; left--)
      try {
        return await Rig.#startOnce(options)
      } catch (error) {
        if (!(error instanceof Stalled) || left === 1) throw error
        console.log('The kernel of the rig stalled; it is started again')
      }
  }

  static async #startOnce({ hasIommu = true }: RigOptions): Promise<Rig> {
    const provided = await Rig.provide()
    const dir = await mkdtemp('/tmp/pb-rig-')
    const job = `${dir}/job`
    await mkdir(job)
    await copyFile(`${root}/tools/rig/work.sh`, `${job}/work.sh`)
    await chmod(`${job}/work.sh`, 0o755)
    const initrd = [
      `${root}/tools/rig/initrd.sh`,
      provided,
      `${root}/tools/rig/init.sh`,
      `${dir}/initrd`,
      ...firstModules,
    ]
    await must('sh', initrd)
    const release = (await must('ls', [`${provided}/kernel/lib/modules`])).trim()
    const [port = 0] = await freePorts(1)
    const machine = machineArgs(provided, { dir, release, hasIommu, port })
    // It ends with the tests, however these end.
    const qemu = spawn('setpriv', ['--pdeathsig', 'KILL', ...machine], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, QEMU_MODULE_DIR: `${provided}/qemu/usr/lib/x86_64-linux-gnu/qemu` },
    })
    const rig = new Rig(dir, qemu, port)
    let said = ''
    qemu.stderr?.on('data', (chunk: Buffer) => {
      said += chunk
    })
    const printed = () => readFile(`${dir}/console.log`, 'utf8').catch(() => '')
    try {
      await rig.#until('the rig is up', `${job}/up`, startMs, async () => /detected stalls/.test(await printed()))
    } catch (cause) {
      const log = await printed()
      await rig[Symbol.asyncDispose]()
      if (cause instanceof Stalled) throw cause
      throw new Error(`The rig did not start:\n${said}\n${log.slice(-3000)}`, { cause })
    }
    return rig
  }

  /** Runs a script of bash in the rig; resolves to what it printed. @throws with that, when it fails */
  async run(script: string, timeoutMs = scriptMs): Promise<string> {
    const at = `${this.dir}/job/${this.#next++}`
    await writeFile(`${at}.new-script`, `set -eu\n${script}\n`)
    await rename(`${at}.new-script`, `${at}.sh`)
    await this.#until(`a script of the rig has ended: ${script.slice(0, 80)}`, `${at}.rc`, timeoutMs)
    const [code, output] = [await readFile(`${at}.rc`, 'utf8'), await readFile(`${at}.out`, 'utf8')]
    if (code.trim() !== '0') throw new Error(`A script in the rig ended with ${code.trim()}:\n${script}\n${output}`)
    return output.trim()
  }

  /** Waits until a line of its shell succeeds. */
  async until(line: string, deadlineMs = 180_000): Promise<void> {
    await this.run(
      `end=$(($(date +%s) + ${Math.ceil(deadlineMs / 1000)}))
      until { ${line}; } > /dev/null 2>&1; do
        if [ "$(date +%s)" -ge $end ]; then ${line}; exit 1; fi
        sleep 0.5
      done`,
      deadlineMs + 120_000,
    )
  }

  /** Gives it the link by which programs of this machine, which are not emulated, reach its port. */
  async openDoor(): Promise<void> {
    await this.run(`modprobe virtio_net
      for link in /sys/class/net/*; do
        case "$(readlink -f $link/device/driver)" in
          */virtio_net) ip addr add ${doorAddress}/24 dev "\${link##*/}"; ip link set "\${link##*/}" up ;;
        esac
      done`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ended(this.#qemu)
    await rm(this.dir, { recursive: true, force: true })
  }

  /** Waits for a file, and no longer than the machine lives. @throws Stalled when it does */
  async #until(
    what: string,
    file: string,
    deadlineMs: number,
    stalls: () => Promise<boolean> = async () => false,
  ): Promise<void> {
    const hasEnded = () => this.#qemu.exitCode !== null || this.#qemu.signalCode !== null
    const isThere = () =>
      readFile(file).then(
        () => true,
        () => false,
      )
    const isOver = async () => (await isThere()) || hasEnded() || (await stalls())
    await eventually(what, isOver, { deadlineMs, everyMs: 50 })
    if (await isThere()) return
    if (await stalls()) throw new Stalled(`The kernel of the rig stalled before this: ${what}`)
    throw new Error(`The rig has ended before this: ${what}`)
  }
}

/** A kernel that waits for a processor without end. */
class Stalled extends Error {}

/** The command line of the machine: QEMU with its own loader and libraries, beside this machine's. */
function machineArgs(
  provided: string,
  { dir, release, hasIommu, port }: Readonly<{ dir: string; release: string; hasIommu: boolean; port: number }>,
): string[] {
  const qemu = `${provided}/qemu/usr`
  const share = (tag: string, path: string, more = ',readonly=on') => [
    ...['-fsdev', `local,id=${tag},path=${path},security_model=none${more}`],
    ...['-device', `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`],
  ]
  const card = (n: number) => [
    ...['-netdev', `user,id=n${n},restrict=on`],
    ...['-device', `pcie-root-port,id=rp${n},chassis=${n},slot=${n}`],
    ...['-device', `igb,bus=rp${n},netdev=n${n},mac=52:54:00:00:00:0${n},romfile=`],
  ]
  return [
    ...[`${qemu}/lib64/ld-linux-x86-64.so.2`, '--library-path', `${qemu}/lib/x86_64-linux-gnu`],
    ...[`${qemu}/bin/qemu-system-x86_64`, '-L', `${qemu}/share/qemu`, '-L', `${qemu}/share/seabios`],
    ...['-M', 'q35', '-accel', 'tcg,thread=multi,tb-size=512', '-cpu', 'max', '-smp', '2', '-m', '3G'],
    ...['-nographic', '-nodefaults', '-no-reboot', '-serial', `file:${dir}/console.log`],
    ...['-kernel', `${provided}/kernel/boot/vmlinuz-${release}`, '-initrd', `${dir}/initrd`],
    // A busy machine would fail the kernel's test of its timer.
    ...['-append', `console=ttyS0 panic=-1 quiet no_timer_check${hasIommu ? ' intel_iommu=on' : ''}`],
    ...(hasIommu ? ['-device', 'intel-iommu,intremap=on'] : []),
    ...share('root', '/', ',readonly=on,multidevs=remap'),
    ...share('modules', `${provided}/kernel/lib/modules`),
    ...share('repo', root),
    ...share('job', `${dir}/job`, ''),
    ...[...card(1), ...card(2)],
    ...[
      '-netdev',
      `user,id=door,restrict=on,net=10.77.0.0/24,hostfwd=tcp:127.0.0.1:${port}-${doorAddress}:${doorPort}`,
    ],
    ...['-device', 'virtio-net-pci,netdev=door'],
  ]
}
