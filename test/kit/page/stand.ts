import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { issue } from '#machinery/rest/certificates.ts'
import { Door } from '../../../tools/page/door.ts'
import { type Cluster, type Ground, makeGround, startOn } from '../../component/cluster.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '')
/** Where tests leave pictures for people to look at. */
const pictures = process.env.PATCHBAY_SCREENSHOTS ?? `${root}/dist/screenshots`

/** How long a page may take to show what it should, milliseconds; a busy machine is slow. */
export const patienceMs = 12_000

/** The server serves the page as it was built. */
const options = { pageFolder: `${root}/dist/ui` }
/** The door is there to be shut: it serves nothing by itself. */
const noPage = () => false

/** A simulated cluster with its page, a door to both that can be shut, and a browser. */
export class Stand implements AsyncDisposable {
  readonly ground: Ground
  readonly browser: Browser
  readonly door: Door
  cluster: Cluster
  /** The errors of all its pages. */
  readonly errors: string[] = []
  readonly #contexts: BrowserContext[] = []

  private constructor(parts: Readonly<{ ground: Ground; cluster: Cluster; door: Door; browser: Browser }>) {
    this.ground = parts.ground
    this.cluster = parts.cluster
    this.door = parts.door
    this.browser = parts.browser
  }

  static async open(): Promise<Stand> {
    const ground = await makeGround()
    const cluster = await startOn(ground, options)
    const tls = await issue(cluster.authority, { use: 'server', names: ['127.0.0.1'] })
    const door = await Door.open({ port: 0, tls, page: noPage })
    door.target = cluster.port
    const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
    return new Stand({ ground, cluster, door, browser })
  }

  get origin(): string {
    return `https://127.0.0.1:${this.door.port}`
  }

  /** The server dies; the host and the store stay. */
  async stopServer(): Promise<void> {
    this.door.target = undefined
    await this.cluster.stop()
  }

  async startServer(): Promise<void> {
    this.cluster = await startOn(this.ground, options)
    this.door.target = this.cluster.port
  }

  /** A token of a ServiceAccount with a role in all namespaces. */
  async token(name: string, role: string, seconds = 3600): Promise<string> {
    const { api } = this.cluster
    const accounts = '/api/v1/namespaces/default/serviceaccounts'
    if (!(await api.get(`${accounts}/${name}`))) {
      await api.create(accounts, { metadata: { name } })
      await api.create('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
        metadata: { name: `${name}-${role.replaceAll(':', '-')}` },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
        subjects: [{ kind: 'ServiceAccount', name, namespace: 'default' }],
      })
    }
    const request = { spec: { expirationSeconds: seconds } }
    return (await api.create(`${accounts}/${name}/token`, request)).status.token
  }

  /** A page of a browser of its own; signed in when a token is given. */
  async page(token?: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
    const context = await this.browser.newContext({
      ignoreHTTPSErrors: true,
      viewport: { width: 1440, height: 900 },
      ...options,
    })
    this.#contexts.push(context)
    const page = await context.newPage()
    page.setDefaultTimeout(patienceMs)
    page.on('pageerror', (error) => this.errors.push(error.message))
    page.on('console', (message) => {
      // What the network says is what tests do to it.
      if (message.type() === 'error' && !/Failed to load resource|net::ERR/.test(message.text()))
        this.errors.push(
          `${message.text().slice(0, 300)} (${message.location().url}:${message.location().lineNumber}:${message.location().columnNumber})`,
        )
    })
    await page.goto(this.origin)
    if (token !== undefined) {
      await page.getByLabel('Token').fill(token)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByText('Live', { exact: true }).waitFor({ state: 'attached' })
    }
    return page
  }

  /** Keeps a picture of a page for people. */
  async picture(page: Page, name: string): Promise<void> {
    mkdirSync(pictures, { recursive: true })
    await page.screenshot({ path: `${pictures}/${name}.png` })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close()
    await this.door[Symbol.asyncDispose]()
    await this.cluster.stop()
    await this.ground.remove()
  }
}
