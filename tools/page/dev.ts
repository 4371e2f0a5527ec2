import { spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { createServer } from 'vite'
import { eventually } from '../../src/base/wait.ts'
import { createAuthority, issue } from '../../src/machinery/rest/certificates.ts'
import { Api } from '../stage/api.ts'
import { Door } from './door.ts'
import { root, viteConfig } from './vite.ts'

const launcher = fileURLToPath(new URL('../../patchbay', import.meta.url))
const dir = process.env.PATCHBAY_DIR ?? '/tmp/patchbay-dev'
const apiPort = 7443
const pagePort = 7543
const reloadPort = 7544

/** Starts a simulated host, and the page over it, which is loaded again when its source changes. */
async function main(): Promise<void> {
  await mkdir(dir, { recursive: true })
  const listen = `127.0.0.1:${apiPort}`
  const server = spawn(launcher, ['up', '--simulate', '--data-dir', dir, '--listen', listen], { stdio: 'inherit' })
  server.on('exit', (code) => process.exit(code ?? 0))
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => server.kill('SIGTERM'))
  const token = await eventually('the server is ready', tokenOf, { deadlineMs: 60_000, everyMs: 200 })
  const vite = await createServer({
    ...viteConfig,
    root,
    appType: 'spa',
    server: { middlewareMode: true, hmr: { port: reloadPort } },
  })
  const tls = await issue(await createAuthority('development'), { use: 'server', names: ['127.0.0.1', 'localhost'] })
  const door = await Door.open({
    port: pagePort,
    tls,
    page(request, response) {
      const isPage = request.url === '/' && (request.headers.accept ?? '').includes('text/html')
      if (!isPage && !/^\/(ui|@vite|@fs|@id|node_modules)\//.test(request.url)) return false
      if (isPage) request.url = '/ui/'
      // Its requests and answers are those of HTTP/1, which Node's HTTP/2 imitates.
      vite.middlewares(request as never, response as never)
      return true
    },
  })
  door.target = apiPort
  console.log(`The page is at https://127.0.0.1:${pagePort}; sign in with this token:\n${token}`)
}

/** A token of an administrator, for a few hours. */
async function tokenOf(): Promise<string> {
  const api = await Api.from(`${dir}/kubeconfig`)
  try {
    const accounts = '/api/v1/namespaces/default/serviceaccounts'
    await api.call('POST', accounts, { metadata: { name: 'developer' } })
    await api.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'developer' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', name: 'developer', namespace: 'default' }],
    })
    const { body } = await api.call('POST', `${accounts}/developer/token`, { spec: { expirationSeconds: 28_800 } })
    return body.status.token
  } finally {
    api.close()
  }
}

await main()
