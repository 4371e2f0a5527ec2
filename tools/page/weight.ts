import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { buildPage } from './build.ts'

const out = fileURLToPath(new URL('../../dist/ui', import.meta.url))

/** Most that a browser loads before the bay is shown, bytes as gzip (docs/SPECIFICATION.md). */
const maxFirstLoad = 60 * 1024

type Chunk = Readonly<{ file: string; imports?: readonly string[]; css?: readonly string[]; isEntry?: boolean }>

/** The files of the first load: those of the entry and of what it imports, not of what it imports when it is opened. */
export function firstLoad(manifest: Readonly<Record<string, Chunk>>): readonly string[] {
  const seen = new Set<string>()
  const todo = Object.keys(manifest).filter((name) => manifest[name]?.isEntry)
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    const chunk = manifest[name]
    if (!chunk || seen.has(name)) continue
    seen.add(name)
    todo.push(...(chunk.imports ?? []))
  }
  return [...seen].flatMap((name) => [manifest[name]?.file ?? '', ...(manifest[name]?.css ?? [])])
}

/** Builds the page and weighs its first load, for `npm run check`. */
export async function checkWeight(): Promise<string[]> {
  await buildPage()
  const manifest: Readonly<Record<string, Chunk>> = JSON.parse(readFileSync(`${out}/.vite/manifest.json`, 'utf8'))
  const files = ['index.html', ...firstLoad(manifest)]
  const sizes = files.map((file) => gzipSync(readFileSync(`${out}/${file}`), { level: 9 }).length)
  const sum = sizes.reduce((all, one) => all + one, 0)
  const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`
  if (sum <= maxFirstLoad) return []
  return [
    `the first load of the page is ${kib(sum)}, more than ${kib(maxFirstLoad)}`,
    ...files.map((file, i) => `${file} ${kib(sizes[i] ?? 0)}`),
  ]
}

if (import.meta.main) console.log((await checkWeight()).join('\n') || 'light enough')
