import { computed, type Signal, signal } from '@preact/signals'
import type { Node } from '#apis/core/node.ts'
import type { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { ApiObject, Kind, Stored } from '#apis/meta/object.ts'
import type { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import type { Log } from '#base/log.ts'
import { Connection } from '#machinery/client/connection.ts'
import { HttpClient } from '#machinery/client/http-client.ts'
import { type Informer, makeInformer, onAnyChange } from '#machinery/client/informer.ts'
import { keyOf, type Machine, machineOf } from '../model/machine.ts'
import { railsOf } from '../model/rail.ts'
import { FetchTransport } from './fetch-transport.ts'
import { migrations as migrationKind, nads as nadKind, nodes as nodeKind, vmis, vms } from './kinds.ts'
import { isExpired, session } from './session.ts'

/** Longest pause before the page tries a broken connection again, milliseconds: its user waits. */
const maxPauseMs = 2000
/** A watch that ends is opened again at once; only one that stays away is a broken connection. */
const staleAfterMs = 1500

/** A page has no log: what fails is shown. */
const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet }

/** Machines by key. */
export const machines = signal<ReadonlyMap<string, Machine>>(new Map())
const nads = signal<readonly Stored<NetworkAttachmentDefinition>[]>([])
export const nodes = signal<readonly Stored<Node>[]>([])
export const migrations = signal<readonly Stored<VirtualMachineInstanceMigration>[]>([])
export const rails = computed(() => railsOf(nads.value, machines.value.values()))
/** Whether the machines have been read for the first time. */
export const isLoaded = signal(false)
/** Whether what is shown may be old. */
export const isStale = signal(false)
/** The namespace that is watched; empty for all. */
export const scope = signal('')
/** Whether the user may not list the machines of the scope. */
export const isForbidden = signal(false)

const openWatches = new Set<string>()
const forbidden = new Map<string, () => void>()
let staleTimer: ReturnType<typeof setTimeout> | undefined
let wake = Promise.withResolvers<void>()

const transport = new FetchTransport({
  token: () => session.value?.token ?? '',
  onAnswer(code, path) {
    if (code === 401) isExpired.value = true
    if (code === 403) forbidden.get(path)?.()
  },
  onWatch(path, isOpen) {
    if (isOpen) openWatches.add(path)
    else openWatches.delete(path)
    judgeStale()
  },
})

/** Every request of the page goes by this client. */
export const client = new HttpClient(new Connection(transport, 'patchbay-page/1'))

let required: readonly string[] = []

function judgeStale(): void {
  const isWhole = () => required.every((path) => openWatches.has(path))
  clearTimeout(staleTimer)
  if (isWhole()) isStale.value = false
  else staleTimer = setTimeout(() => (isStale.value ||= isLoaded.value && !isWhole()), staleAfterMs)
}

/** Tries again at once what waits. */
export function tryAgain(): void {
  wake.resolve()
  wake = Promise.withResolvers()
}

function pause(ms: number, end: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.min(ms, maxPauseMs))
    const stop = () => {
      clearTimeout(timer)
      resolve()
    }
    void wake.promise.then(stop)
    end.addEventListener('abort', stop, { once: true })
  })
}

function pathOf({ group, version, plural, namespaced }: Kind, namespace: string): string {
  const root = group ? `/apis/${group}/${version}` : `/api/${version}`
  return `${root}${namespaced && namespace ? `/namespaces/${namespace}` : ''}/${plural}`
}

/** Begins to watch; what it returns ends that. */
export function startCluster(): () => void {
  const stop = new AbortController()
  const namespace = scope.value
  isForbidden.value = false
  isLoaded.value = false
  const open = <T extends ApiObject>(kind: Kind<T>, onForbidden: () => void): Informer<T> => {
    const own = new AbortController()
    const path = pathOf(kind as Kind, namespace)
    forbidden.set(path, () => {
      own.abort()
      required = required.filter((one) => one !== path)
      onForbidden()
    })
    return makeInformer<T, string>(client, kind, namespace && kind.namespaced ? { namespace } : {}, {
      log: quiet,
      signal: AbortSignal.any([stop.signal, own.signal]),
      pause,
      indexes: {},
    })
  }
  required = [vms, vmis, nadKind].map((kind) => pathOf(kind as Kind, namespace))
  const vmInformer = open(vms, () => (isForbidden.value = true))
  const vmiInformer = open(vmis, () => {})
  followMachines(vmInformer, vmiInformer)
  follow(
    open(nadKind, () => {}),
    nads,
  )
  follow(
    open(nodeKind, () => {}),
    nodes,
  )
  follow(
    open(migrationKind, () => {}),
    migrations,
  )
  void Promise.all([vmInformer.synced, vmiInformer.synced]).then(() => schedule(() => (isLoaded.value = true)))
  const onVisible = () => document.visibilityState === 'visible' && tryAgain()
  document.addEventListener('visibilitychange', onVisible)
  globalThis.addEventListener('online', tryAgain)
  return () => {
    stop.abort()
    forbidden.clear()
    document.removeEventListener('visibilitychange', onVisible)
    globalThis.removeEventListener('online', tryAgain)
    machines.value = new Map()
  }
}

type Placed = Readonly<{ metadata: Readonly<{ namespace: string; name: string }> }>

function followMachines(vmInformer: Informer<VirtualMachine>, vmiInformer: Informer<VirtualMachineInstance>): void {
  const dirty = new Set<string>()
  const mark = ({ metadata: { namespace, name } }: Placed) => {
    dirty.add(keyOf(namespace, name))
    if (dirty.size === 1) schedule(flush)
  }
  const flush = () => {
    const next = new Map(machines.value)
    for (const key of dirty) {
      const [namespace = '', name = ''] = key.split('/')
      const machine = machineOf(vmInformer.get({ namespace, name }), vmiInformer.get({ namespace, name }))
      if (machine) next.set(key, machine)
      else next.delete(key)
    }
    dirty.clear()
    machines.value = next
  }
  onAnyChange<VirtualMachine>(vmInformer, mark)
  onAnyChange<VirtualMachineInstance>(vmiInformer, mark)
}

function follow<T extends ApiObject>(informer: Informer<T>, into: Signal<readonly Stored<T>[]>): void {
  let isDirty = false
  informer.onChange(() => {
    if (isDirty) return
    isDirty = true
    schedule(() => {
      isDirty = false
      into.value = informer.list()
    })
  })
}

/** Changes are shown once a frame, however many come; a page in the background has no frames. */
function schedule(work: () => void): void {
  if (document.visibilityState === 'visible') requestAnimationFrame(work)
  else setTimeout(work, 0)
}
