import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { eventually } from '../../src/base/wait.ts'
import { must } from '../stage/program.ts'
import { root } from '../stage/stage.ts'

/** How long its kernel may take to start, and a script in it to end, milliseconds. */
const startMs = 180_000
const scriptMs = 300_000

/** Modules that its first program needs; what a test needs more it loads itself. */
const firstModules = ['virtio_pci', '9pnet_virtio', '9p', 'overlay']

export type RigOptions = Readonly<{
  /** Whether its machine has an IOMMU; yes unless said otherwise. */
  hasIommu?: boolean
}>

/**
 * A virtual machine around the programs of this one, with hardware and a kernel that this one lacks: two igb cards with virtual
 * functions, an IOMMU, all modules of Debian's kernel, and KVM for its guests by nested virtualization. It sees this machine's
 * root, read-only below a layer in memory, and the checkout in /repo.
 */
export class Rig implements AsyncDisposable {
  readonly #dir: string
  readonly #qemu: ChildProcess
  #next = 0

  private constructor(dir: string, qemu: ChildProcess) {
    this.#dir = dir
    this.#qemu = qemu
  }

  /** Fetches what it is made of, if that is not there. @throws with the reason where Debian's packages cannot be had */
  static async provide(): Promise<string> {
    return (await must('sh', [`${root}/tools/rig/provide.sh`], { timeoutMs: 600_000 })).trim()
  }

  static async start({ hasIommu = true }: RigOptions = {}): Promise<Rig> {
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
    const machine = machineArgs(provided, { dir, release, hasIommu })
    // It ends with the tests, however these end.
    const qemu = spawn('setpriv', ['--pdeathsig', 'KILL', ...machine], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, QEMU_MODULE_DIR: `${provided}/qemu/usr/lib/x86_64-linux-gnu/qemu` },
    })
    const rig = new Rig(dir, qemu)
    let said = ''
    qemu.stderr?.on('data', (chunk: Buffer) => {
      said += chunk
    })
    try {
      await rig.#until('the rig is up', `${job}/up`, startMs)
    } catch (cause) {
      const log = await readFile(`${dir}/console.log`, 'utf8').catch(() => '')
      await rig[Symbol.asyncDispose]()
      throw new Error(`The rig did not start:\n${said}\n${log.slice(-3000)}`, { cause })
    }
    return rig
  }

  /** Runs a script of bash in the rig; resolves to what it printed. @throws with that, when it fails */
  async run(script: string, timeoutMs = scriptMs): Promise<string> {
    const at = `${this.#dir}/job/${this.#next++}`
    await writeFile(`${at}.new-script`, `set -eu\n${script}\n`)
    await rename(`${at}.new-script`, `${at}.sh`)
    await this.#until(`a script of the rig has ended: ${script.slice(0, 80)}`, `${at}.rc`, timeoutMs)
    const [code, output] = [await readFile(`${at}.rc`, 'utf8'), await readFile(`${at}.out`, 'utf8')]
    if (code.trim() !== '0') throw new Error(`A script in the rig ended with ${code.trim()}:\n${script}\n${output}`)
    return output.trim()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode } = this.#qemu
    if (exitCode === null && signalCode === null) {
      const ended = new Promise((resolve) => this.#qemu.once('exit', resolve))
      this.#qemu.kill('SIGKILL')
      await ended
    }
    await rm(this.#dir, { recursive: true, force: true })
  }

  /** Waits for a file, and no longer than the machine lives. */
  async #until(what: string, file: string, deadlineMs: number): Promise<void> {
    const hasEnded = () => this.#qemu.exitCode !== null || this.#qemu.signalCode !== null
    const isThere = () =>
      readFile(file).then(
        () => true,
        () => false,
      )
    await eventually(what, async () => (await isThere()) || hasEnded(), { deadlineMs, everyMs: 50 })
    if (!(await isThere())) throw new Error(`The rig has ended before this: ${what}`)
  }
}

/** The command line of the machine: QEMU with its own loader and libraries, beside this machine's. */
function machineArgs(
  provided: string,
  { dir, release, hasIommu }: Readonly<{ dir: string; release: string; hasIommu: boolean }>,
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
  ]
}
