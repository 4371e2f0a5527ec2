import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core'
import { eventually } from '#base/wait.ts'
import { buildPage } from '../tools/page/build.ts'
import { path } from '../tools/stage/api.ts'
import { nad, vm } from '../tools/stage/manifests.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { percentile, show, showAlone } from './figures.ts'

const machines = 200
const networks = 40
const changes = 5000
/** Changes of which each is waited for until it is seen. */
const seenChanges = 40
/** How long the bay is panned, milliseconds. */
const panMs = 3000

/** Runs in the page before its scripts: when the first machine was drawn, long tasks, and when chunks came from the server. */
const probe = `
  globalThis.probe = { painted: 0, longest: 0, chunkAt: 0, waits: [] }
  const read = ReadableStreamDefaultReader.prototype.read
  ReadableStreamDefaultReader.prototype.read = function () {
    return read.call(this).then((result) => ((probe.chunkAt = performance.now()), result))
  }
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) probe.longest = Math.max(probe.longest, duration)
  }).observe({ entryTypes: ['longtask'] })
  new MutationObserver((records) => {
    if (!probe.painted && document.querySelector('.row.machine'))
      requestAnimationFrame(() => (probe.painted = performance.now() - performance.getEntriesByName('patchbay-start')[0].startTime))
    if (records.some(({ attributeName }) => attributeName === 'data-state')) probe.waits.push(performance.now() - probe.chunkAt)
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-state'] })
`

/** The page over 200 machines with four cards each, and 40 networks. */
export async function benchPage(stage: Stage): Promise<void> {
  await buildPage()
  await fill(stage)
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  try {
    await measure(stage, browser, 'https://127.0.0.1:7443')
  } finally {
    await browser.close()
  }
}

async function measure(stage: Stage, browser: Browser, origin: string): Promise<void> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 } })
  const session = JSON.stringify({ token: await tokenOf(stage), user: 'bench' })
  await context.addInitScript(`${probe}\nsessionStorage.setItem('patchbay.session', ${JSON.stringify(session)})`)
  const page = await context.newPage()
  await page.goto(origin)
  await eventually('the first machine is drawn', () => page.evaluate<boolean>('probe.painted > 0'))
  const ours = `${machines} machines × 4 cards, ${networks} networks`
  showAlone(
    `page: first paint after its script starts, ${ours}`,
    await page.evaluate<number>('probe.painted'),
    'ms',
    1000,
  )
  await page.getByText(`${machines} machines`).first().waitFor()
  await page.evaluate('probe.longest = 0')
  await panning(context, page)
  await seeing(stage, page)
  showAlone('page: longest task while panned and changed', await page.evaluate<number>('probe.longest'), 'ms', 50)
  await growing(stage, page, await context.newCDPSession(page))
}

/** Frames while the bay is panned, against those of an empty page. */
async function panning(context: BrowserContext, page: Page): Promise<void> {
  const frames = (body: string) => `new Promise((resolve) => {
    const start = performance.now()
    let count = 0
    const frame = () => {
      ${body}
      count++
      if (performance.now() - start < ${panMs}) requestAnimationFrame(frame)
      else resolve(count)
    }
    requestAnimationFrame(frame)
  })`
  const empty = await context.newPage()
  await empty.goto('about:blank')
  const theirs = await empty.evaluate<number>(frames(''))
  await empty.close()
  await page.bringToFront()
  const ours = await page.evaluate<number>(frames("document.querySelector('.machines').scrollTop += 15"))
  show({
    what: 'page: frames while panned',
    ours,
    theirs,
    unit: 'frames',
    promisedAtLeast: 0.9,
    other: 'an empty page',
  })
  await page.evaluate("document.querySelector('.machines').scrollTop = 0")
}

/** Time from the chunk of a watch until the cable looks otherwise. */
async function seeing(stage: Stage, page: Page): Promise<void> {
  const cable = page.locator('[data-cable="default/m0/n0"]')
  await cable.waitFor({ state: 'attached' })
  await page.evaluate('probe.waits = []')
  for (let round = 0; round < seenChanges; round++) {
    const state = round % 2 ? 'up' : 'pulled'
    await change(stage, 'm0', round % 2 ? 'up' : 'down')
    await page.locator(`[data-cable="default/m0/n0"][data-state="${state}"]`).waitFor({ state: 'attached' })
  }
  const waits = await page.evaluate<number[]>('probe.waits')
  showAlone('page: a change is drawn after its chunk came, p50', percentile(waits, 0.5), 'ms')
  showAlone('page: a change is drawn after its chunk came, longest', Math.max(...waits), 'ms', 100)
}

/** Memory of the page after many changes, against that after the first tenth of them. */
async function growing(stage: Stage, page: Page, tools: CDPSession): Promise<void> {
  const some = async (count: number) => {
    for (let done = 0; done < count; done += 50)
      await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          change(stage, `m${(done + i) % machines}`, (done / machines) & 1 ? 'up' : 'down'),
        ),
      )
    await page.waitForTimeout(500)
    await tools.send('HeapProfiler.collectGarbage')
    return (await tools.send('Runtime.getHeapUsage')).usedSize / 2 ** 20
  }
  const theirs = await some(changes / 10)
  const ours = await some(changes - changes / 10)
  show({
    what: `page: heap after ${changes} changes`,
    ours,
    theirs,
    unit: 'MiB',
    promise: 1.2,
    other: `after ${changes / 10}`,
  })
}

async function change(stage: Stage, name: string, state: string): Promise<void> {
  const patch = [{ op: 'add', path: '/spec/template/spec/domain/devices/interfaces/1/state', value: state }]
  await stage.api.call('PATCH', path.vm(name), patch, 'application/json-patch+json')
}

async function fill(stage: Stage): Promise<void> {
  const names = Array.from({ length: networks }, (_, index) => `n${index}`)
  for (const name of names) await stage.api.call('POST', path.nad(), nad(name))
  for (let index = 0; index < machines; index++) {
    const mine = [0, 1, 2].map((card) => [names[(index * 3 + card) % networks] ?? 'n0', undefined])
    const { code } = await stage.api.call('POST', path.vm(), vm(`m${index}`, { secondary: Object.fromEntries(mine) }))
    if (code !== 201) throw new Error(`a machine was answered ${code}`)
  }
  const running = async () => {
    const { body } = await stage.api.call('GET', path.vmi())
    return body.items.filter((one: { status?: { phase?: string } }) => one.status?.phase === 'Running').length
  }
  await eventually('all machines run', async () => (await running()) === machines, {
    deadlineMs: 120_000,
    everyMs: 500,
  })
}

async function tokenOf(stage: Stage): Promise<string> {
  await stage.k('create', 'serviceaccount', 'bench')
  await stage.k(
    'create',
    'clusterrolebinding',
    'bench',
    '--clusterrole=cluster-admin',
    '--serviceaccount=default:bench',
  )
  return (await stage.k('create', 'token', 'bench')).trim()
}
