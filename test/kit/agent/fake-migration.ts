import type { AgentContext } from '#agent/context.ts'
import { ImagePulls } from '#agent/image-pulls.ts'
import { Memories } from '#agent/memory.ts'
import { MigrationJobs } from '#agent/migration-jobs.ts'
import { migrateAway } from '#agent/migration-source.ts'
import { receive } from '#agent/migration-target.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { MigrationState } from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { silent } from '#base/log.ts'
import type { Hypervisor, ObservedDomain } from '#core/ports.ts'

type Copy = ObservedDomain['state'] | 'gone'

/** A guest in two sandboxes, `source` and `target`, and the instance that its agents read and write. */
export class FakeMigration {
  /** What was done, in order. */
  readonly story: string[] = []
  readonly copies: Record<'source' | 'target', Copy> = { source: 'running', target: 'gone' }
  /** Bytes left to send, while the hypervisor of the source is at it. */
  remainingBytes: number | undefined
  abortFails = false
  /** How often the target's sandbox was made or looked over. */
  ensured = 0
  vmi: VirtualMachineInstance
  #context = this.#open()
  /** Ends the job that was started. */
  end: (failure?: Error) => void = () => undefined

  constructor(state: MigrationState) {
    const migrationState = { migrationUid: 'm', targetAttachmentPodUID: 'target', targetPod: 't', ...state }
    this.vmi = {
      metadata: { name: 'x', namespace: 'ns', uid: 'v' },
      spec: { domain: { devices: {} } },
      status: { phase: 'Running', migrationState },
    } as unknown as VirtualMachineInstance
  }

  get state(): MigrationState {
    return this.vmi.status?.migrationState ?? {}
  }

  /** What the controller writes. */
  write(change: Partial<MigrationState>): void {
    const { status } = this.vmi
    this.vmi = { ...this.vmi, status: { ...status, migrationState: { ...status?.migrationState, ...change } } }
  }

  /** A pass of the source's agent, and one of the target's. */
  source(): ReturnType<typeof migrateAway> {
    return migrateAway(this.#context, this.#pod('source'), this.vmi, AbortSignal.timeout(10_000))
  }

  target(vmi = this.vmi): Promise<void> {
    return receive(this.#context, this.#pod('target'), vmi, 'source', AbortSignal.timeout(10_000))
  }

  /** Another process takes over, which knows of no job. */
  restart(): void {
    this.#context = this.#open()
  }

  #pod(uid: 'source' | 'target'): Pod {
    const labels = { 'kubevirt.io/migrationJobUID': 'm' }
    return { metadata: { name: uid, namespace: 'ns', uid, labels }, spec: { containers: [] } } as unknown as Pod
  }

  #hypervisor(at: 'source' | 'target'): Hypervisor {
    const { copies, story } = this
    return {
      domain: {
        observe: async () => {
          const state = copies[at]
          return state === 'gone' ? undefined : { state, uuid: 'u', nics: [], agentConnected: true, ports: {} }
        },
        resume: async () => {
          story.push(`resume ${at}`)
          if (copies[at] === 'paused') copies[at] = 'running'
        },
      },
      job: {
        start: () => {
          story.push('send')
          return new Promise<void>((resolve, reject) => {
            this.end = (failure) => (failure ? reject(failure) : resolve())
          })
        },
        progress: async () => (this.remainingBytes === undefined ? undefined : { remainingBytes: this.remainingBytes }),
        abort: async () => {
          story.push('abort')
          if (this.abortFails) throw new Error('not now')
        },
        guestState: async () => {
          const state = copies[at]
          return state === 'gone' ? undefined : state
        },
      },
    } as unknown as Hypervisor
  }

  #open(): AgentContext {
    const hypervisors = { source: this.#hypervisor('source'), target: this.#hypervisor('target') }
    const of = (uid: string) => hypervisors[uid as 'source' | 'target']
    const sandbox = {
      ips: new Map(),
      attached: new Set(),
      networks: new Map(),
      repaired: [],
      deaf: [],
      pendingCleanup: [],
      unmirrored: new Map(),
    }
    const quiet = { forget: () => undefined }
    return {
      client: {
        modify: async (kind: { kind: string }, _: unknown, change: (one: unknown) => unknown) => {
          if (kind.kind === 'Pod') return change({ metadata: {}, status: {} })
          const after = change(this.vmi) as VirtualMachineInstance | undefined
          if (after) this.vmi = after
          return this.vmi
        },
      },
      host: {
        lifecycle: {
          ensure: async () => {
            this.ensured++
            return { ...sandbox, hypervisor: hypervisors.target }
          },
          hypervisorOf: of,
          onChange: () => () => undefined,
          connect: async (uid: string) => of(uid),
        },
        processes: {
          has: async (uid: 'source' | 'target') => this.copies[uid] !== 'gone',
          kill: async (uid: 'source' | 'target') => {
            this.story.push(`kill ${uid}`)
            this.copies[uid] = 'gone'
          },
        },
      },
      ...{
        guests: quiet,
        probes: quiet,
        memories: new Memories(),
        pulls: new ImagePulls(),
        credentials: { ...quiet, sync: () => undefined },
        migrationJobs: new MigrationJobs(),
        running: new Map(),
      },
      ...{ recorder: () => undefined, log: silent, nodeName: 'n', cluster: 'c', again: () => undefined },
      nads: { configOf: () => undefined, annotationsOf: () => undefined },
      attachmentMode: () => 'InPlace',
    } as unknown as AgentContext
  }
}
