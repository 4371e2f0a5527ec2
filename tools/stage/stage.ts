import { type ChildProcess, spawn } from 'node:child_process'
import { type FSWatcher, mkdirSync, readdirSync, watch } from 'node:fs'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { eventually } from '../../src/base/wait.ts'
import { Api, path } from './api.ts'
import { runInGuest } from './guest.ts'
import { patience } from './patience.ts'
import { processOf } from './processes.ts'
import { must, type Outcome, program } from './program.ts'
import { difference, namespaceSnapshot, type Snapshot, tracesOf } from './snapshot.ts'
import { TruthChecker } from './truth.ts'

/** The checkout. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

const launcher = `${root}/patchbay`

/** On pods that were made for a migration. */
const job = 'kubevirt.io/migrationJobUID'

/** What a guest or a server may take under emulation on a busy machine before we give up, milliseconds. */
export const patienceMs = 120_000 * patience

/** How long the kernel may take to bury processes and namespaces whose end was waited for, milliseconds. */
const burialMs = 20_000

/** Real stages that are open at a time share their network namespace: what it was before the first, the last compares. */
const shared: { stages: number; before: Promise<Snapshot> } = { stages: 0, before: Promise.resolve({}) }

export type StageOptions = Readonly<{
  simulate?: boolean
  /** Whether the truth is watched all the time, which costs the server a little of its own. */
  watchTruth?: boolean
}>

/**
 * A Patchbay of its own: a data directory, a server in a process of its own, and the tools a user would use on it. Meant to
 * run inside a network namespace of its own (netns.ts). Disposing takes everything off the host, whatever happened before.
 */
export class Stage implements AsyncDisposable {
  readonly dir: string
  readonly #simulate: boolean
  readonly #watchTruth: boolean
  #server: ChildProcess | undefined
  #api: Api | undefined
  #pods: FSWatcher | undefined
  readonly #uids = new Set<string>()
  /** Looks on all the time; on real hosts only, for a simulated one has no libvirt to compare with. */
  readonly truth: TruthChecker

  private constructor(dir: string, { simulate = false, watchTruth = !simulate }: StageOptions) {
    this.dir = dir
    this.#simulate = simulate
    this.#watchTruth = watchTruth
    this.truth = new TruthChecker({ dir, api: () => (this.#server ? this.#api : undefined) })
  }

  static async open(options: StageOptions = {}): Promise<Stage> {
    if (!options.simulate) {
      if (shared.stages++ === 0) shared.before = namespaceSnapshot()
      await shared.before
    }
    const stage = new Stage(await mkdtemp('/tmp/pb-'), options)
    // Whoever started us clears up after us if we do not live to do so.
    if (stage.#mark) await writeFile(stage.#mark, '')
    return stage
  }

  get #mark(): string | undefined {
    const folder = process.env.PATCHBAY_STAGES
    return folder === undefined ? undefined : `${folder}/${this.dir.split('/').at(-1)}`
  }

  get kubeconfig(): string {
    return `${this.dir}/kubeconfig`
  }

  get log(): string {
    return `${this.dir}/server.log`
  }

  /** Process id of the server. */
  get pid(): number {
    return this.#server?.pid ?? 0
  }

  /** Starts the server and waits until it says that it is ready. Resolves to that line. */
  async up(extra: readonly string[] = []): Promise<string> {
    const log = await open(this.log, 'a')
    const args = [
      'up',
      '--data-dir',
      this.dir,
      '--listen',
      '127.0.0.1:7443',
      '--node',
      'node1',
      ...(this.#simulate ? ['--simulate'] : []),
      ...extra,
    ]
    const server = spawn(launcher, args, { stdio: ['ignore', 'pipe', log.fd] })
    this.#server = server
    await log.close()
    let said = ''
    server.stdout?.on('data', (chunk: Buffer) => {
      said += chunk
    })
    const line = await eventually(
      'the server is ready',
      async () => {
        if (server.exitCode !== null)
          throw new Error(`the server ended with ${server.exitCode}: ${(await this.logs()).slice(-2000)}`)
        return said.split('\n').find((one) => one.startsWith('Patchbay is ready'))
      },
      { deadlineMs: patienceMs },
    )
    this.#api?.close()
    this.#api = await Api.from(this.kubeconfig)
    if (this.#watchTruth) this.truth.start()
    if (!this.#simulate) this.#notePods()
    return line
  }

  /** Writes down which pods there ever are, to know what is left of them by. */
  #notePods(): void {
    this.#pods?.close()
    const folder = `${this.dir}/pods`
    // Otherwise made with the first pod.
    mkdirSync(folder, { recursive: true })
    const note = (name: string | null) => name && /^[\da-f-]{36}$/.test(name) && this.#uids.add(name)
    this.#pods = watch(folder, { persistent: false }, (_, name) => note(name))
    readdirSync(folder).forEach(note)
  }

  /** Kills the server as a power cut would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Asks the server to stop. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  async down(): Promise<Outcome> {
    return program(launcher, ['down', '--data-dir', this.dir, '--timeout', '10'])
  }

  /** Runs a command of Patchbay. */
  patchbay(...args: readonly string[]): Promise<Outcome> {
    return program(launcher, [...args, '--data-dir', this.dir])
  }

  /** Runs a command of Patchbay on another data directory. */
  patchbayAt(dir: string, ...args: readonly string[]): Promise<Outcome> {
    return program(launcher, [...args, '--data-dir', dir])
  }

  /** A file of a VM's sandbox. */
  async readSandbox(vm: string, file: string): Promise<string> {
    return readFile(`${await this.sandbox(vm)}/${file}`, 'utf8')
  }

  async logs(): Promise<string> {
    return readFile(this.log, 'utf8').catch(() => '')
  }

  get api(): Api {
    if (!this.#api) throw new Error('the stage is not up')
    return this.#api
  }

  kubectl(args: readonly string[], input?: string): Promise<Outcome> {
    return program('kubectl', ['--kubeconfig', this.kubeconfig, ...args], input === undefined ? {} : { input })
  }

  /** kubectl that must succeed. */
  async k(...args: readonly string[]): Promise<string> {
    return must('kubectl', ['--kubeconfig', this.kubeconfig, ...args])
  }

  /** A client command of Patchbay that must succeed. */
  async p(...args: readonly string[]): Promise<string> {
    return must(launcher, [...args, '--kubeconfig', this.kubeconfig], { timeoutMs: patienceMs })
  }

  /** Changes the cluster's configuration: a merge patch of the KubeVirt object's spec. */
  async configure(spec: object): Promise<void> {
    await this.k('patch', 'kubevirt', 'kubevirt', '-n', 'kubevirt', '--type=merge', '-p', JSON.stringify({ spec }))
  }

  async apply(...manifests: readonly unknown[]): Promise<void> {
    for (const manifest of manifests)
      await must('kubectl', ['--kubeconfig', this.kubeconfig, 'apply', '-f', '-'], { input: JSON.stringify(manifest) })
  }

  /** The pod a VM's guest is in; while it moves, the one it comes from. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it and fail when it is not as expected
  async pod(vm: string): Promise<any> {
    const pods = await this.pods(vm)
    if (pods.length < 2) return pods[0]
    const { migrationState: state } = (await this.api.call('GET', path.vmi(vm))).body.status
    const name = state?.completed && !state.failed ? state.targetPod : state?.sourcePod
    return pods.find(({ metadata }) => metadata.name === name) ?? pods[0]
  }

  /** All pods of a VM, the oldest first. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into them and fail when they are not as expected
  async pods(vm: string): Promise<any[]> {
    const { body } = await this.api.call('GET', `${path.pods}?labelSelector=vm.kubevirt.io/name%3D${vm}`)
    type Born = { metadata: { creationTimestamp: string; labels: object } }
    const born = ({ metadata }: Born) => `${metadata.creationTimestamp} ${job in metadata.labels}`
    return body.items.toSorted((a: Born, b: Born) => born(a).localeCompare(born(b)))
  }

  /** Folder of a VM's sandbox. */
  async sandbox(vm: string): Promise<string> {
    const pod = await this.pod(vm)
    if (!pod) throw new Error(`VM ${vm} has no pod`)
    return `${this.dir}/pods/${pod.metadata.uid}`
  }

  /** virsh on a VM's own libvirt. */
  async virsh(vm: string, ...args: readonly string[]): Promise<string> {
    return this.virshAt((await this.pod(vm))?.metadata.uid, ...args)
  }

  /** virsh on the libvirt of a sandbox, also while the API server is down. */
  async virshAt(podUid: string, ...args: readonly string[]): Promise<string> {
    const socket = `${this.dir}/pods/${podUid}/run/libvirt/libvirt-sock`
    return (await must('virsh', ['-q', '-c', `qemu+unix:///system?socket=${socket}`, ...args])).trim()
  }

  /** Runs a shell line in a VM's guest through the guest's own agent and virsh, none of Patchbay's code in between. */
  async guest(vm: string, line: string): Promise<string> {
    return runInGuest((...args) => this.virsh(vm, ...args), `default_${vm}`, line)
  }

  /** Process id of a VM's QEMU on the host; throws when there is none. */
  async qemuPid(vm: string): Promise<number> {
    return this.#processOf(vm, /^qemu-system/)
  }

  /** Process id of the libvirtd of a VM's sandbox on the host; throws when there is none. */
  async libvirtdPid(vm: string): Promise<number> {
    return this.#processOf(vm, /^libvirtd$/m)
  }

  async #processOf(vm: string, program: RegExp): Promise<number> {
    const pid = processOf(await this.sandbox(vm), program)
    if (!pid) throw new Error(`the sandbox of ${vm} has no process ${program}`)
    return pid
  }

  /** Waits for a condition of a VM by kubectl. */
  async waitFor(vm: string, condition: string, deadlineMs = patienceMs): Promise<void> {
    await must(
      'kubectl',
      [
        '--kubeconfig',
        this.kubeconfig,
        'wait',
        `--for=condition=${condition}`,
        `vm/${vm}`,
        `--timeout=${deadlineMs / 1000}s`,
      ],
      { timeoutMs: deadlineMs + 10_000 },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Whatever it has to say, the host is cleaned first.
    const lies = await this.truth.end().catch((error: unknown) => error)
    this.#api?.close()
    await this.#end('SIGTERM')
    // A simulated host has nothing to clean up.
    const { code, stderr } = this.#simulate ? { code: 0, stderr: '' } : await this.down()
    this.#pods?.close()
    if (code !== 0) throw new Error(`patchbay down failed: ${stderr}`)
    // Whoever started us clears up, if it can, what we keep then.
    await this.#nothingIsLeft()
    await rm(this.dir, { recursive: true, force: true })
    if (this.#mark) await rm(this.#mark, { force: true })
    if (lies) throw lies
  }

  /** @throws Fault Timeout naming all that is on the host and was not before, or the other way round */
  async #nothingIsLeft(): Promise<void> {
    const isLast = !this.#simulate && shared.stages === 1
    const before = isLast ? await shared.before : {}
    const look = async () => ({
      ...(isLast && (await namespaceSnapshot())),
      ...(await tracesOf({ dir: this.dir, uids: this.#uids })),
    })
    await eventually(
      `nothing of ${this.dir} is left`,
      async () => {
        const left = difference(before, await look())
        if (left.length) throw new Error(`on the host is left:\n${left.join('\n')}`)
        return true
      },
      { deadlineMs: burialMs, everyMs: 100 },
    )
    if (!this.#simulate) shared.stages--
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    const ended = new Promise((resolve) => server.once('exit', resolve))
    server.kill(signal)
    await ended
  }
}
