import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

type Violation = Readonly<{
  id: string
  help: string
  nodes: readonly Readonly<{ html: string; failureSummary: string }>[]
}>

/** Fails when axe finds anything wrong with what a page shows, in either theme. */
export async function isAccessible(page: Page, what: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await page.evaluate(`window.axe || (() => { ${axe} })()`)
    const violations = await page.evaluate<readonly Violation[]>(
      "axe.run(document, { resultTypes: ['violations'], preload: false }).then(({ violations }) => violations)",
    )
    const texts = violations.map(
      ({ id, help, nodes }) => `${id}: ${help}\n${nodes.map((one) => `${one.html}\n${one.failureSummary}`).join('\n')}`,
    )
    assert.equal(texts.join('\n'), '', `${what}, ${colorScheme}`)
  }
  await page.emulateMedia({ colorScheme: 'light' })
}
