import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Hands } from '#kit/page/hands.ts'
import { Stand } from '#kit/page/stand.ts'
import { makeWorld } from '#kit/page/world.ts'

describe('hands on the bay', { timeout: 200_000 }, () => {
  let stand: Stand
  let hands: Hands
  let token: string
  before(async () => {
    stand = await Stand.open()
    await makeWorld(stand.cluster.api)
    token = await stand.token('owner', 'cluster-admin')
    hands = new Hands(stand, await stand.page(token))
  })
  after(() => stand?.[Symbol.asyncDispose]())

  it('the bay shows machines by host, networks, and cables whose looks tell their state', async () => {
    await hands.sees('web-1/red', 'up')
    await hands.sees('web-1/blue', 'pulled')
    await hands.sees('spare/red', 'idle')
    await hands.page.getByText('9 of 12 ports free').first().waitFor()
    await stand.picture(hands.page, 'bay-light')
  })

  it('a click on a cable shows the plan, pulls it when confirmed, and can be taken back', async () => {
    await hands.clickCable('web-2/red')
    assert.deepEqual(await hands.plan(), ['update link of interface "red": up -> down'])
    await stand.picture(hands.page, 'plan-preview')
    assert.equal((await hands.declared('web-2/red')).state, undefined)
    await hands.doIt()
    await hands.sees('web-2/red', 'pulled')
    assert.equal((await hands.declared('web-2/red')).state, 'down')
    await hands.undo()
    await hands.sees('web-2/red', 'up')
  })

  it('a cable that is dragged to another rail is rewired, to the parking rail parked, and beside them unplugged', async () => {
    await hands.drag('web-2/blue', await hands.rail('default/storage'))
    await hands.page.locator('[data-rail="default/storage"].target').waitFor()
    await hands.drop()
    assert.match((await hands.plan()).join(), /default\/blue -> default\/storage/)
    await hands.doIt()
    await hands.sees('web-2/blue', 'up')
    assert.equal((await hands.declared('web-2/blue')).network, 'storage')
    await hands.drag('web-2/blue', await hands.rail('patchbay-none'))
    await hands.drop()
    await hands.doIt()
    await hands.sees('web-2/blue', 'pulled')
    assert.equal((await hands.declared('web-2/blue')).network, 'patchbay-none')
    await hands.undo()
    await hands.sees('web-2/blue', 'up')
    await hands.drag('web-2/blue', { x: 930, y: 700 })
    await hands.drop()
    assert.deepEqual(await hands.plan(), ['unplug interface "blue"'])
    await hands.doIt()
    await hands.page.locator('[data-row="default/web-2/blue"]').waitFor({ state: 'detached' })
  })

  it('a cable dragged from a rail to a free port plugs a card', async () => {
    const { page } = hands
    const from = await page.locator('[data-rail="default/blue"] .socket').boundingBox()
    const to = await page.locator('[data-row="default/db-1 "]').boundingBox()
    assert.ok(from && to)
    await page.mouse.move(from.x + 9, from.y + 9)
    await page.mouse.down()
    await page.mouse.move(to.x + 300, to.y + 15, { steps: 6 })
    await page.locator('[data-row="default/db-1 "].target').waitFor()
    await page.mouse.up()
    const dialog = page.getByRole('dialog')
    assert.equal(await dialog.getByLabel('Name').inputValue(), 'blue-2')
    await dialog.getByLabel('Cable pulled').check()
    assert.deepEqual(await hands.plan(), ['plug interface "blue-2" into default/blue, link down'])
    await hands.doIt()
    await hands.sees('db-1/blue-2', 'pulled')
  })

  it('every gesture works by arrow keys, Enter and Escape alone', async () => {
    const { page } = hands
    await hands.walkTo('web-1/red')
    await page.keyboard.press('Enter')
    await page.getByRole('menuitem', { name: 'Pull the cable' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('menu').waitFor({ state: 'detached' })
    await page.keyboard.press('Enter')
    await page.keyboard.press('Enter')
    await hands.plan()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    // The focus is back where it was.
    await page.keyboard.press('p')
    await hands.plan()
    await page.keyboard.press('Enter')
    await hands.sees('web-1/red', 'pulled')
    await hands.walkTo('web-1/storage')
    await page.keyboard.press('r')
    await page.getByRole('dialog').getByLabel('Network').selectOption('blue')
    assert.match((await hands.plan()).join(), /-> default\/blue/)
    await page.getByRole('button', { name: 'Do it' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    assert.equal((await hands.declared('web-1/storage')).network, 'blue')
    await hands.walkTo('web-1/storage')
    await page.keyboard.press('Delete')
    await hands.plan()
    await page.keyboard.press('Enter')
    await page.locator('[data-row="default/web-1/storage"]').waitFor({ state: 'detached' })
    await hands.walkTo('web-1 ')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').getByLabel('Name').fill('late')
    await hands.plan()
    await page.keyboard.press('Enter')
    await page.locator('[data-row="default/web-1/late"]').waitFor()
    await hands.walkTo('spare')
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Start: spare?' }).waitFor()
    await page.keyboard.press('Escape')
  })

  it('a machine is isolated at once, and gets back exactly the cables that were up', async () => {
    const { page } = hands
    await page.getByRole('button', { name: 'Menu of web-2' }).click()
    await page.getByRole('menuitem', { name: 'Isolate' }).click()
    await hands.doIt()
    await hands.sees('web-2/red', 'pulled')
    await hands.sees('web-2/default', 'pulled')
    await page.locator('[data-row="default/web-2"]').getByText('isolated').waitFor()
    await page.getByRole('button', { name: 'Menu of web-2' }).click()
    await page.getByRole('menuitem', { name: 'Rejoin' }).click()
    await hands.doIt()
    await hands.sees('web-2/red', 'up')
    await hands.sees('web-2/default', 'up')
  })

  it('machines are paused, restarted and stopped from their menus', async () => {
    const { page } = hands
    const choose = async (what: string) => {
      await page.getByRole('button', { name: 'Menu of web-2' }).click()
      await page.getByRole('menuitem', { name: what, exact: true }).click()
      await hands.doIt()
    }
    const is = (state: string) => page.locator('[data-row="default/web-2"]').getByText(state, { exact: true }).waitFor()
    await choose('Pause')
    await is('paused')
    await choose('Go on')
    await is('running')
    await choose('Stop')
    await is('stopped')
    await choose('Start')
    await is('running')
  })

  it('a change by one browser is seen by another', async () => {
    const other = new Hands(stand, await stand.page(token))
    await other.sees('db-1/storage', 'up')
    await hands.clickCable('db-1/storage')
    await hands.doIt()
    await other.sees('db-1/storage', 'pulled')
    await other.page.context().close()
  })

  it('fingers do what a mouse does', async () => {
    const page = await stand.page(token, { viewport: { width: 400, height: 800 }, hasTouch: true, isMobile: true })
    const touch = new Hands(stand, page)
    await touch.sees('db-1/storage', 'pulled')
    await page.locator('[data-row="default/db-1/storage"] .card').tap()
    await page.getByRole('menuitem', { name: 'Put the cable back' }).tap()
    await touch.plan()
    await page.getByRole('button', { name: 'Do it' }).tap()
    await touch.sees('db-1/storage', 'up')
    await stand.picture(page, 'bay-narrow')
    await page.context().close()
  })

  it('nothing was said in the browser’s console', () => {
    assert.deepEqual(stand.errors, [])
  })
})
