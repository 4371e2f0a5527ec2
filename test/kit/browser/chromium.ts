import { readFile } from 'node:fs/promises'
import { type Browser, chromium, type Page } from 'playwright-core'

const types: Readonly<Record<string, string>> = { js: 'text/javascript' }

/** Debian's Chromium without a window. */
export class Chromium implements AsyncDisposable {
  readonly #browser: Browser
  /** The errors of its pages, for a test to show. */
  readonly errors: string[] = []

  private constructor(browser: Browser) {
    this.#browser = browser
  }

  static async open(): Promise<Chromium> {
    return new Chromium(await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] }))
  }

  /**
   * A page of a server, which trusts any certificate and may import the files of `folder` from `/test/` of that server. It is a
   * real answer of the server, whatever that says: Chromium lets no page of an unknown address open a WebSocket to one of this
   * machine, and asks nobody for the certificate of a client when it opens one, but goes by what was decided for the origin.
   */
  async page(origin: string, folder: string): Promise<Page> {
    const page = await this.#browser.newPage({ ignoreHTTPSErrors: true })
    await page.goto(`${origin}/healthz`)
    page.on('pageerror', (error) => this.errors.push(error.message))
    page.on('console', (message) => message.type() === 'error' && this.errors.push(message.text()))
    await page.route(`${origin}/test/**`, async (route) => {
      const path = new URL(route.request().url()).pathname.replace(/^\/test/, '')
      const contentType = types[path.split('.').at(-1) ?? ''] ?? 'application/octet-stream'
      return route.fulfill({ contentType, body: await readFile(folder + path) })
    })
    return page
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close()
  }
}
