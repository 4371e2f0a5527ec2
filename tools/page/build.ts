import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'vite'
import { root, viteConfig } from './vite.ts'

/** Where the built page is, for the server to serve. */
const out = fileURLToPath(new URL('../../dist/ui', import.meta.url))

/** Files below this size are not worth a compressed copy, bytes. */
const smallest = 512

/** Builds the page into dist/ui, with a compressed copy of each file beside it. */
export async function buildPage(): Promise<void> {
  await build({
    ...viteConfig,
    root,
    logLevel: 'warn',
    build: {
      outDir: out,
      emptyOutDir: true,
      target: 'es2024',
      // Its helper for browsers without module preload would be an inline script.
      modulePreload: { polyfill: false },
      assetsInlineLimit: 0,
      manifest: true,
      reportCompressedSize: false,
      chunkSizeWarningLimit: 1000,
    },
  })
  for (const file of globSync('**/*.{js,css,html,svg}', { cwd: out })) {
    const bytes = readFileSync(`${out}/${file}`)
    if (bytes.length < smallest) continue
    writeFileSync(`${out}/${file}.gz`, gzipSync(bytes, { level: 9 }))
    writeFileSync(
      `${out}/${file}.br`,
      brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } }),
    )
  }
}

if (import.meta.main) await buildPage()
