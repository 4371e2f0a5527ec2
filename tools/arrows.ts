import { globSync, readFileSync } from 'node:fs'
import { chainsOut, filesOf, type Module, moduleOf } from './reach.ts'
import { parseSource } from './source.ts'

/** Who may import whom, by folder; a folder may always import itself. `bin` wires and may import anything. */
const may: Readonly<Record<string, readonly string[]>> = {
  base: [],
  apis: ['base'],
  core: ['apis', 'base'],
  machinery: ['apis/meta', 'base'],
  drivers: ['core', 'apis', 'base'],
  controllers: ['core', 'machinery', 'apis', 'base'],
  agent: ['core', 'machinery', 'apis', 'base'],
  server: ['controllers', 'core', 'machinery', 'apis', 'base'],
  ovirt: ['core', 'machinery', 'apis', 'base'],
  cli: ['core', 'machinery/client', 'machinery/client-node', 'apis', 'base'],
  ui: ['core', 'machinery/client', 'apis', 'base'],
}

/** Files that need more than their folder may, each with the reason. */
const exceptions: Readonly<Record<string, readonly string[]>> = {
  // Events are a kind of their own that every controller writes through the client.
  'machinery/client/recorder.ts': ['apis/core/event.ts'],
}

/** Folders that decide and never act, with the packages they may use all the same: pure ones. */
const pure: Readonly<Record<string, readonly string[]>> = { apis: ['typebox'], core: [] }
/** Packages that run in a browser: the page's, each of which docs/adr/0015-page.md gives a reason for. */
const inPages = /^(typebox|js-yaml|uplot|preact(\/hooks)?|@preact\/signals|@(xterm|codemirror|lezer|novnc)\/.+)$|\.css$/
/** Rooms that run in a browser as well, with all they import. */
const browser = /^(core|apis|machinery\/client|ui)\//
const impure = /\b(Date\.now|Math\.random|new Date\(\)|performance\.now|process\.|setTimeout|crypto\.)/

/** Where product code starts: what nothing leads to from here is there for tests only. */
const roots = ['bin/patchbay.ts', 'machinery/store/sqlite-worker.ts', 'ui/main.tsx']

/** What a file of `src/` imports against the rules of docs/ARCHITECTURE.md; `file` is relative to src/. */
export function problemsOf(file: string, text: string): string[] {
  const top = file.split('/')[0]!
  const allowed = may[top]
  if (isTest(file)) return []
  const kits = parseSource(file, text).imports.filter(({ from }) => from.startsWith('#kit/'))
  if (kits.length) return kits.map(({ from }) => `src/${file}: ${from} is a kit, which only tests may import`)
  if (!allowed) return []
  const own = exceptions[file] ?? []
  const problems = parseSource(file, text).imports.flatMap(({ from }): string[] => {
    if (from.startsWith('#')) {
      const target = from.slice(1)
      if (target.startsWith(`${top}/`)) return [`use a relative path for ${from}`]
      return [...allowed, ...own].some((ok) => target === ok || target.startsWith(`${ok}/`))
        ? []
        : [`${top} may not import ${from}`]
    }
    if (from.startsWith('.')) {
      const up = from.split('/').filter((part) => part === '..').length
      return up >= file.split('/').length - 1 ? [`${from} leaves its folder; write it with #`] : []
    }
    const packages = pure[top]
    return packages && !packages.includes(from) ? [`${top} is pure and may not import ${from}`] : []
  })
  if (pure[top] && impure.test(text))
    problems.push(`${top} may not read the clock, chance or the process: ${impure.exec(text)?.[0]}`)
  return problems.map((problem) => `src/${file}: ${problem}`)
}

function isTest(file: string): boolean {
  return file.endsWith('.test.ts')
}

/** Files that no root leads to, by the imports of each file. */
export function onlyForTests(files: ReadonlyMap<string, readonly string[]>, from: readonly string[]): string[] {
  const reached = new Set<string>()
  const todo = [...from]
  for (let file = todo.pop(); file !== undefined; file = todo.pop()) {
    if (reached.has(file)) continue
    reached.add(file)
    todo.push(...(files.get(file) ?? []))
  }
  return [...files.keys()].filter((file) => !isTest(file) && !reached.has(file))
}

/** Import cycles between files of src/, each as `a -> b -> a`. */
export function cycles(files: ReadonlyMap<string, readonly string[]>): string[] {
  const state = new Map<string, 'open' | 'done'>()
  const found: string[] = []
  const visit = (file: string, trail: readonly string[]) => {
    if (state.get(file) === 'done') return
    if (state.get(file) === 'open') {
      found.push([...trail.slice(trail.indexOf(file)), file].join(' -> '))
      return
    }
    state.set(file, 'open')
    for (const next of files.get(file) ?? []) visit(next, [...trail, file])
    state.set(file, 'done')
  }
  for (const file of files.keys()) visit(file, [])
  return found
}

/** Checks the whole of src/. */
export function checkArrows(root: string): string[] {
  const files = globSync('**/*.{ts,tsx}', { cwd: `${root}/src`, exclude: ['**/*.d.ts'] })
  const texts = new Map(files.map((file) => [file, readFileSync(`${root}/src/${file}`, 'utf8')]))
  const modules: ReadonlyMap<string, Module> = new Map([...texts].map(([file, text]) => [file, moduleOf(file, text)]))
  const graph = new Map([...modules].map(([file, { files }]) => [file, files]))
  const all = new Map([...texts].map(([file, text]) => [file, filesOf(file, text)]))
  const inBrowser = files.filter((file) => browser.test(file) && !file.endsWith('.test.ts'))
  return [
    ...[...texts].flatMap(([file, text]) => problemsOf(file, text)),
    ...cycles(graph).map((cycle) => `import cycle: ${cycle}`),
    ...onlyForTests(all, roots).map((file) => `src/${file} is only for tests; move it to test/kit/${file}`),
    ...chainsOut(inBrowser, modules, (name) => inPages.test(name)).map(
      (chain) => `does not run in a browser: ${chain}`,
    ),
  ]
}
