import { rm } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { Fault } from '#base/fault.ts'
import { writeFileAtomic } from '#base/file.ts'
import type { Log } from '#base/log.ts'
import { version } from '#base/version.ts'
import { startServer } from '#machinery/rest/server.ts'
import { openSqliteStore } from '#machinery/store/sqlite.ts'
import { startControlPlane } from './control-plane.ts'
import { createDataDir, dataDirAt, keysOf, writeKubeconfig } from './data-dir.ts'
import { type AuditLimits, makeGuard } from './guard.ts'
import { type CniLimits, startHost } from './host.ts'

export type UpOptions = Readonly<{
  dataDir: string
  listen: string
  node: string
  cni: CniLimits
  simulate: boolean
  /** Tokens beside those of ServiceAccounts, as kube-apiserver's --token-auth-file. */
  tokenAuthFile?: string
  audit: AuditLimits
  log: Log
  signal: AbortSignal
}>

/**
 * Runs everything in this process until the signal aborts: API server, controllers, node agent. Guests are not its children
 * and go on without it. `ready` is told once, when it serves.
 */
export async function up(options: UpOptions, ready: (line: string) => void): Promise<void> {
  const { log } = options
  const listen = parseListen(options.listen)
  const dir = await createDataDir(dataDirAt(options.dataDir))
  const store = await openSqliteStore({ path: dir.store })
  await using stack = new AsyncDisposableStack()
  stack.defer(() => store.close())
  await writeFileAtomic(dir.pid, `${process.pid}\n`, 0o644)
  stack.defer(() => rm(dir.pid, { force: true }))
  const stop = new AbortController()
  const { signal } = stop
  const plane = await startControlPlane(store, log, signal)
  stack.defer(() => plane.settled())
  stack.defer(() => stop.abort())
  const { authority, server: tls, admin } = await keysOf(dir, [listen.host, ...ownAddresses()])
  const { guard, close } = await makeGuard({ ...options, plane, dir })
  stack.defer(close)
  const server = await startServer({
    registry: plane.registry,
    guard,
    listen,
    tls,
    clientAuthority: authority.cert,
    version: versionInfo(),
    log,
  })
  stack.defer(() => server.close())
  const url = `https://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${server.port}`
  await writeKubeconfig(dir, url, authority, admin)
  const agent = await startHost({
    client: plane.clientOf(`system:node:${options.node}`),
    dir,
    nodeName: options.node,
    cni: options.cni,
    simulate: options.simulate,
    log,
    signal,
  })
  stack.defer(() => agent.stop())
  ready(`Patchbay is ready: ${url}, try: kubectl --kubeconfig ${dir.kubeconfig} get vms -A`)
  await aborted(options.signal)
  log.info({}, 'Stopping; guests go on')
}

/** `HOST:PORT`, `[HOST]:PORT` or `:PORT`. @throws Fault Invalid */
function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65_535)
    throw new Fault('Invalid', `--listen ${text} is no address; write HOST:PORT, for example 127.0.0.1:6443`)
  return { host: match[1] ?? (match[2] || '127.0.0.1'), port }
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).filter((one) => !one.address.includes('%')).map((one) => one.address),
  )
}

function versionInfo() {
  // kubectl compares the major and minor number with its own and warns when they are far apart.
  return {
    major: '1',
    minor: '32',
    gitVersion: `v1.32.0+patchbay-${version}`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '',
    goVersion: '',
    compiler: 'node',
    platform: `linux/${process.arch}`,
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
