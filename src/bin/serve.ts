import { networkInterfaces } from 'node:os'
import { explain, Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { version } from '#base/version.ts'
import type { KeyPair } from '#machinery/rest/certificates.ts'
import type { Limits } from '#machinery/rest/limits.ts'
import { startServer } from '#machinery/rest/server.ts'
import { keepHistory } from '#machinery/store/history.ts'
import { openSqliteStore } from '#machinery/store/sqlite.ts'
import type { Store } from '#machinery/store/store.ts'
import { type ControlPlane, startControlPlane } from './control-plane.ts'
import { type DataDir, keysOf, writeKubeconfig } from './data-dir.ts'
import { type AuditLimits, makeGuard } from './guard.ts'
import { Metrics } from './metrics.ts'

export type ServeOptions = Readonly<{
  dir: DataDir
  /** `HOST:PORT`, `[HOST]:PORT` or `:PORT`; port 0 takes any that is free. */
  listen: string
  limits: Limits
  /** How long changes are kept for watches that come back, milliseconds. */
  historyMs: number
  /** Tokens beside those of ServiceAccounts, as kube-apiserver's --token-auth-file. */
  tokenAuthFile?: string
  audit: AuditLimits
  /** Looks at the store before anything is written to it; throws to refuse it. */
  admit?: (store: Store) => Promise<void>
  log: Log
}>

/** The API server of a data directory, its store and its controllers; disposing it closes them in order. */
export type Serving = AsyncDisposable &
  Readonly<{
    store: Store
    plane: ControlPlane
    metrics: Metrics
    port: number
    url: string
    authority: KeyPair
    admin: KeyPair
  }>

/** Serves the API of a data directory and leaves the administrator's kubeconfig there. @throws Fault Invalid, Unavailable */
export async function serve(options: ServeOptions): Promise<Serving> {
  const { dir, log, limits } = options
  const listen = parseListen(options.listen)
  await using stack = new AsyncDisposableStack()
  const store = await openSqliteStore({ path: dir.store })
  stack.defer(() => store.close())
  await options.admit?.(store)
  stack.defer(
    keepHistory(store, options.historyMs, (error) =>
      log.warn({ cause: explain(error) }, 'Cannot forget old history; trying again later'),
    ),
  )
  const stop = new AbortController()
  stack.defer(() => stop.abort())
  const plane = await startControlPlane(store, log, stop.signal)
  const metrics = new Metrics()
  metrics.followObjects(plane)
  stack.defer(() => plane.settled())
  stack.defer(() => stop.abort())
  const { authority, server: tls, admin } = await keysOf(dir, [listen.host, ...ownAddresses()])
  const { guard, close } = await makeGuard({ ...options, plane })
  stack.defer(close)
  const server = await startServer({
    registry: plane.registry,
    guard,
    listen,
    tls,
    clientAuthority: authority.cert,
    version: versionInfo(),
    metrics: () => metrics.page(),
    documents: { '/apis/subresources.kubevirt.io/v1/version': versionInfo() },
    limits,
    log,
  })
  stack.defer(() => server.close())
  const url = `https://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${server.port}`
  await writeKubeconfig(dir, url, authority, admin)
  const open = stack.move()
  return {
    store,
    plane,
    metrics,
    port: server.port,
    url,
    authority,
    admin,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** @throws Fault Invalid */
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
