import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Page } from 'playwright-core'
import { isAccessible } from '#kit/page/accessible.ts'
import { Hands } from '#kit/page/hands.ts'
import { Stand } from '#kit/page/stand.ts'
import { makeWorld } from '#kit/page/world.ts'
import { vmsPath } from '../component/api.ts'

describe('views of the page', { timeout: 200_000 }, () => {
  let stand: Stand
  let hands: Hands
  let page: Page
  before(async () => {
    stand = await Stand.open()
    await makeWorld(stand.cluster.api)
    page = await stand.page(await stand.token('owner', 'cluster-admin'))
    hands = new Hands(stand, page)
    await hands.sees('web-1/red', 'up')
  })
  after(() => stand?.[Symbol.asyncDispose]())

  const tab = (name: string) => page.getByRole('tab', { name, exact: true }).click()

  it('axe finds nothing wrong with the bay, its menu and its dialog, in either theme', async () => {
    await isAccessible(page, 'bay')
    await page.emulateMedia({ colorScheme: 'dark' })
    await stand.picture(page, 'bay-dark')
    await page.locator('[data-row="default/web-1/red"] .card').click()
    await isAccessible(page, 'menu')
    await stand.picture(page, 'menu')
    await page.getByRole('menuitem', { name: 'Rewire' }).click()
    await hands.plan()
    await isAccessible(page, 'dialog')
    await page.keyboard.press('Escape')
  })

  it('nor with the table and the sign-in', async () => {
    await page.getByRole('link', { name: 'Table', exact: true }).click()
    await page.locator('[data-truth="default/web-1/red"]').waitFor()
    await isAccessible(page, 'table')
    const fresh = await stand.page()
    await isAccessible(fresh, 'sign-in')
    await stand.picture(fresh, 'sign-in')
    await fresh.context().close()
  })

  it('a machine shows its status, cards, disks, conditions and events', async () => {
    await page.getByRole('link', { name: 'default/web-1', exact: true }).first().click()
    await page.getByRole('heading', { name: 'web-1' }).waitFor()
    await page.locator('.conditions').getByText('Ready').first().waitFor()
    await page.locator('.timeline li').first().waitFor()
    assert.equal(await page.locator('.jacks li').count(), 4)
    await isAccessible(page, 'machine')
    await stand.picture(page, 'machine')
  })

  it('its YAML is tried by the server, errors stand at their lines, and what another client changed is not overwritten', async () => {
    await tab('YAML')
    const editor = page.getByRole('textbox', { name: 'Manifest' })
    await editor.waitFor()
    await isAccessible(page, 'YAML')
    await page.getByRole('button', { name: 'Check' }).click()
    await page.getByText('The server would accept it.').waitFor()
    const replace = async (from: RegExp, to: string) => {
      await editor.focus()
      await page.keyboard.press('Control+A')
      const now = await copyOf(page)
      await pasteInto(page, now.replace(from, to))
    }
    await replace(/runStrategy: \w+/, 'runStrategy: Sometimes')
    await page.getByRole('button', { name: 'Check' }).click()
    await page.getByRole('status').getByText('runStrategy').waitFor()
    await page.locator('.cm-lint-marker-error').waitFor()
    await stand.picture(page, 'yaml-error')
    await replace(/runStrategy: Sometimes/, 'runStrategy: Always')
    const label = [{ op: 'add', path: '/metadata/labels', value: { changed: 'elsewhere' } }]
    await stand.cluster.api.patch(vmsPath('default', 'web-1'), label)
    await page.getByRole('button', { name: 'Save', exact: true }).click()
    await page.getByText('Another client changed it meanwhile').waitFor()
    await page.getByRole('button', { name: 'Load theirs' }).click()
    await page.getByText('changed: elsewhere').waitFor()
  })

  it('its serial console takes what is typed', async () => {
    await tab('Console')
    await page.locator('.xterm-rows').waitFor()
    await page.getByRole('textbox', { name: 'Serial console' }).focus()
    await page.keyboard.type('hello')
    await page.locator('.xterm-rows').getByText('hello').waitFor()
    await stand.picture(page, 'console')
    await isAccessible(page, 'console')
  })

  it('its screen and its traffic say so when there is nothing to show', async () => {
    await tab('Screen')
    await page.locator('.screen-box').waitFor()
    await isAccessible(page, 'screen')
    await tab('Traffic')
    await page.locator('.plots section, .tab-panel p').first().waitFor()
    await isAccessible(page, 'traffic')
    await stand.picture(page, 'traffic')
  })

  it('traffic is plotted from counters, which are asked for only while it is looked at', async () => {
    let asked = 0
    await page.route('**/traffic', (route) => {
      asked++
      const bytes = { rxBytes: asked * 50_000, txBytes: asked * 20_000 }
      const observedAt = new Date(asked * 2000).toISOString()
      return route.fulfill({ json: { observedAt, interfaces: [{ name: 'red', ...bytes }] } })
    })
    await page.getByRole('img', { name: 'Traffic of red: received 25.0 kB/s, sent 10.0 kB/s' }).waitFor()
    await page.locator('.plots canvas').waitFor()
    await isAccessible(page, 'plots')
    await stand.picture(page, 'traffic')
    await tab('Overview')
    await page.locator('.timeline li').first().waitFor()
    await page.unroute('**/traffic')
  })

  it('a new machine is made by a form, with the manifest beside it', async () => {
    await page.getByRole('link', { name: 'New machine' }).click()
    await page.getByRole('button', { name: 'Add a card' }).click()
    await page.getByLabel('Cable pulled').last().check()
    await page.getByLabel('Name').first().fill('Made_Wrong')
    await page.getByRole('textbox', { name: 'The same as YAML' }).getByText('Made_Wrong').waitFor()
    await isAccessible(page, 'new machine')
    await page.getByRole('button', { name: 'Create' }).click()
    await page.getByRole('alert').getByText('Made_Wrong').waitFor()
    await page.getByLabel('Name').first().fill('made')
    await page.getByRole('alert').getByText('Made_Wrong').waitFor({ state: 'detached' })
    await stand.picture(page, 'new-machine')
    await page.getByRole('button', { name: 'Create' }).click()
    await page.getByRole('heading', { name: 'made' }).waitFor()
    const { spec } = await stand.cluster.api.get(vmsPath('default', 'made'))
    assert.equal(spec.template.spec.domain.devices.interfaces[1].state, 'down')
  })

  it('nothing was said in the browser’s console of any view', () => {
    assert.deepEqual(stand.errors, [])
  })
})

/** What is selected in the editor, as it would be copied. */
async function copyOf(page: Page): Promise<string> {
  return page.evaluate<string>(`new Promise((resolve) => {
    const content = document.querySelector('.editor-box').shadowRoot.querySelector('.cm-content')
    content.addEventListener('copy', (event) => resolve(event.clipboardData.getData('text/plain')), { once: true })
    const data = new DataTransfer()
    content.dispatchEvent(new ClipboardEvent('copy', { clipboardData: data, bubbles: true, cancelable: true }))
  })`)
}

/** Pastes over what is selected in the editor. */
async function pasteInto(page: Page, text: string): Promise<void> {
  await page.evaluate(`(() => {
    const content = document.querySelector('.editor-box').shadowRoot.querySelector('.cm-content')
    const clipboardData = new DataTransfer()
    clipboardData.setData('text/plain', ${JSON.stringify(text)})
    content.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))
  })()`)
}
