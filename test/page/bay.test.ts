import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Page } from 'playwright-core'
import { Stand } from '#kit/page/stand.ts'
import { makeWorld } from '#kit/page/world.ts'
import { vmsPath } from '../component/api.ts'

describe('the bay', { timeout: 150_000 }, () => {
  let stand: Stand
  let page: Page
  before(async () => {
    stand = await Stand.open()
    await makeWorld(stand.cluster.api)
    page = await stand.page(await stand.token('owner', 'cluster-admin'))
  })
  after(() => stand?.[Symbol.asyncDispose]())

  const cable = (key: string, state: string) =>
    page.locator(`[data-cable="default/${key}"][data-state="${state}"]`).waitFor({ state: 'attached' })
  const stateOf = async (vm: string, nic: string) => {
    const { spec } = await stand.cluster.api.get(vmsPath('default', vm))
    return spec.template.spec.domain.devices.interfaces.find(({ name }: { name: string }) => name === nic).state
  }

  it('shows machines, networks and the cables between them', async () => {
    await cable('web-1/red', 'up')
    await cable('web-1/blue', 'pulled')
    await cable('spare/red', 'idle')
    await stand.picture(page, 'bay-light')
    assert.deepEqual(stand.errors, [])
  })

  it('pulls a cable that is clicked, after it has shown the plan', async () => {
    await page.locator('[data-cable="default/web-2/red"] .hit').click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('update link of interface "red": up -> down').waitFor()
    await stand.picture(page, 'plan-preview')
    assert.equal(await stateOf('web-2', 'red'), undefined)
    await dialog.getByRole('button', { name: 'Do it' }).click()
    await cable('web-2/red', 'pulled')
    assert.equal(await stateOf('web-2', 'red'), 'down')
    await page.getByRole('button', { name: 'Undo' }).click()
    await cable('web-2/red', 'up')
    assert.equal(await stateOf('web-2', 'red'), 'up')
  })
})
