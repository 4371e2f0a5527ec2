import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Browser, chromium } from 'playwright-core'
import { Hands } from '#kit/page/hands.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { agreement } from '../../tools/stage/views.ts'

describe('the page over a real guest', { timeout: 300_000 }, () => {
  let stage: Stage
  let browser: Browser
  let hands: Hands

  /** API, virsh and the guest's own carrier agree on the links. */
  const agree = (links: Readonly<Record<string, 'up' | 'down'>>) => agreement(stage, 'x', links, performance.now())

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(nad('blue'), nad('green'), vm('x', { secondary: { blue: 'up' } }))
    await stage.waitFor('x', 'AgentConnected')
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  })
  after(async () => {
    await browser?.close()
    await stage[Symbol.asyncDispose]()
  })

  it('is opened by the address that patchbay page prints', async () => {
    const url = (await stage.p('page', '--print-url')).trim().split('\n')[0] ?? ''
    const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 } })
    const page = await context.newPage()
    page.setDefaultTimeout(patienceMs)
    await page.goto(url)
    await page.getByText('Live', { exact: true }).waitFor({ state: 'attached' })
    const get = async (path: string) => (await stage.api.call('GET', path)).body
    hands = new Hands({ cluster: { api: { get } } }, page)
    await hands.sees('x/blue', 'up')
    await agree({ default: 'up', blue: 'up' })
  })

  it('pulls a cable of the guest, and puts it back', async () => {
    await hands.clickCable('x/blue')
    await hands.doIt()
    await hands.sees('x/blue', 'pulled')
    await agree({ default: 'up', blue: 'down' })
    await hands.undo()
    await hands.sees('x/blue', 'up')
    await agree({ default: 'up', blue: 'up' })
  })

  it('moves a cable to another network by dragging it', async () => {
    await hands.drag('x/blue', await hands.rail('default/green'))
    await hands.drop()
    assert.match((await hands.plan()).join(), /default\/blue -> default\/green/)
    await hands.doIt()
    await hands.sees('x/blue', 'up')
    assert.equal((await hands.declared('x/blue')).network, 'green')
    await agree({ default: 'up', blue: 'up' })
  })

  it('isolates the guest, and gives it its cables back', async () => {
    const choose = async (name: string) => {
      await hands.page.getByRole('button', { name: 'Menu of x' }).click()
      await hands.page.getByRole('menuitem', { name }).click()
      await hands.doIt()
    }
    await choose('Isolate')
    await hands.sees('x/default', 'pulled')
    await agree({ default: 'down', blue: 'down' })
    await choose('Rejoin')
    await hands.sees('x/default', 'up')
    await agree({ default: 'up', blue: 'up' })
  })

  it('has its serial console and its traffic', async () => {
    const { page } = hands
    const tab = (name: string) => page.getByRole('tab', { name, exact: true }).click()
    await page.getByRole('link', { name: 'x', exact: true }).click()
    await tab('Console')
    await page.locator('.xterm-rows').waitFor()
    await page.getByRole('textbox', { name: 'Serial console' }).focus()
    // The answer is not what was typed.
    await page.keyboard.type('echo $((6 * 7))ok\n')
    await page.locator('.xterm-rows').getByText('42ok').waitFor()
    await tab('Traffic')
    await page.getByRole('img', { name: /^Traffic of blue: received .*, sent / }).waitFor()
  })
})
