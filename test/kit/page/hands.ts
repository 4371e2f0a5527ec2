import type { Page } from 'playwright-core'
import { eventually } from '#base/wait.ts'
import type { Any } from '../../component/api.ts'
import { vmsPath } from '../../component/api.ts'

/** What a page is about: a server that is asked beside it. */
type World = Readonly<{ cluster: Readonly<{ api: Readonly<{ get(path: string): Promise<Any> }> }> }>

/** A user's hands on a page; cables are `VM/INTERFACE` in the namespace default. */
export class Hands {
  readonly page: Page
  readonly #world: World

  constructor(world: World, page: Page) {
    this.#world = world
    this.page = page
  }

  /** Waits until a cable looks so. */
  async sees(cable: string, state: string): Promise<void> {
    await this.page.locator(`[data-cable="default/${cable}"][data-state="${state}"]`).waitFor({ state: 'attached' })
  }

  /** Presses on a cable, away from the others. */
  async clickCable(cable: string): Promise<void> {
    const { x, y } = await this.#pointOn(cable)
    await this.page.mouse.click(x, y)
  }

  /** Drags the end of a cable by its socket. */
  async drag(cable: string, to: Readonly<{ x: number; y: number }>): Promise<void> {
    const from = await middle(this.page, `[data-row="default/${cable}"] .socket`)
    await this.page.mouse.move(from.x, from.y)
    await this.page.mouse.down()
    await this.page.mouse.move((from.x + to.x) / 2, (from.y + to.y) / 2, { steps: 4 })
    await this.page.mouse.move(to.x, to.y, { steps: 4 })
  }

  async drop(): Promise<void> {
    await this.page.mouse.up()
  }

  rail(key: string): Promise<{ x: number; y: number }> {
    return middle(this.page, `[data-rail="${key}"] button`)
  }

  /** Says yes to the question that is open, once it has the plan. */
  async doIt(): Promise<void> {
    await this.page.locator('.plan[data-phase="ready"]').waitFor()
    await this.page.getByRole('button', { name: 'Do it' }).click()
    await this.page.getByRole('dialog').waitFor({ state: 'detached' })
  }

  /** The lines of the plan, once the server has answered. */
  async plan(): Promise<readonly string[]> {
    const settled = this.page.locator('.plan[data-phase]:not([data-phase="asking"])')
    await settled.waitFor()
    const phase = await settled.getAttribute('data-phase')
    if (phase !== 'ready') throw new Error(`the question is ${phase}: ${await settled.textContent()}`)
    return this.page.locator('.plan li > span:first-child').allTextContents()
  }

  async undo(): Promise<void> {
    await this.page.getByRole('button', { name: 'Undo' }).last().click()
  }

  /** The focus, moved by arrow keys to a line of the bay. */
  async walkTo(row: string): Promise<void> {
    await this.page.locator('.machines [data-focus][tabindex="0"]').focus()
    await this.page.keyboard.press('Home')
    const isFirst = "document.activeElement === document.querySelector('.machines [data-focus]')"
    await eventually('the focus is on the first line', () => this.page.evaluate<boolean>(isFirst), { everyMs: 5 })
    const focused = () => this.page.evaluate('document.activeElement?.dataset.focus')
    for (let presses = 0; presses < 200; presses++) {
      const at = await focused()
      if (at === `default/${row}`) return
      await this.page.keyboard.press('ArrowDown')
      await eventually('the focus moves', async () => ![at, undefined].includes(await focused()), { everyMs: 5 })
    }
    throw new Error(`arrow keys do not lead to ${row}`)
  }

  /** The interface of a VM's template as it is stored. */
  async declared(cable: string): Promise<Any> {
    const [vm = '', nic = ''] = cable.split('/')
    const { spec } = await this.#world.cluster.api.get(vmsPath('default', vm))
    const { domain, networks } = spec.template.spec
    const find = (list: Any[]) => list.find(({ name }) => name === nic)
    return { ...find(domain.devices.interfaces), network: find(networks)?.multus?.networkName }
  }

  async #pointOn(cable: string): Promise<{ x: number; y: number }> {
    return this.page.evaluate(`(() => {
      const path = document.querySelector('[data-cable="default/${cable}"] .hit')
      const { x, y } = path.getPointAtLength(path.getTotalLength() * 0.06)
      const { left, top } = path.ownerSVGElement.getBoundingClientRect()
      return { x: left + x, y: top + y }
    })()`)
  }
}

async function middle(page: Page, selector: string): Promise<{ x: number; y: number }> {
  const box = await page.locator(selector).first().boundingBox()
  if (!box) throw new Error(`${selector} is not in view`)
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 }
}
