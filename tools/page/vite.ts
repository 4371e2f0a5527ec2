import { fileURLToPath } from 'node:url'
import type { InlineConfig } from 'vite'

/** Where the source of the page is. */
export const root = fileURLToPath(new URL('../../src/ui', import.meta.url))

/** What the build of the page and its development server have in common. */
export const viteConfig: InlineConfig = {
  configFile: false,
  base: '/ui/',
  clearScreen: false,
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
}
