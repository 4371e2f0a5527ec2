import { rm } from 'node:fs/promises'
import { writeFileAtomic } from '#base/file.ts'
import { createDataDir, dataDirAt } from './data-dir.ts'
import { type CniLimits, startHost } from './host.ts'
import { type ServeOptions, serve } from './serve.ts'

export type UpOptions = Omit<ServeOptions, 'dir'> &
  Readonly<{
    dataDir: string
    node: string
    cni: CniLimits
    simulate: boolean
    signal: AbortSignal
  }>

/**
 * Runs everything in this process until the signal aborts: API server, controllers, node agent. Guests are not its children
 * and go on without it. `ready` is told once, when it serves.
 */
export async function up(options: UpOptions, ready: (line: string) => void): Promise<void> {
  const { log } = options
  const dir = await createDataDir(dataDirAt(options.dataDir))
  await using stack = new AsyncDisposableStack()
  const serving = stack.use(await serve({ ...options, dir }))
  await writeFileAtomic(dir.pid, `${process.pid}\n`, 0o644)
  stack.defer(() => rm(dir.pid, { force: true }))
  const stop = new AbortController()
  stack.defer(() => stop.abort())
  const agent = await startHost({
    client: serving.plane.agentClient(options.node),
    dir,
    nodeName: options.node,
    cni: options.cni,
    simulate: options.simulate,
    log,
    signal: stop.signal,
  })
  stack.defer(() => agent.stop())
  stack.defer(() => stop.abort())
  ready(`Patchbay is ready: ${serving.url}, try: kubectl --kubeconfig ${dir.kubeconfig} get vms -A`)
  await aborted(options.signal)
  log.info({}, 'Stopping; guests go on')
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
