import { globSync, readFileSync } from 'node:fs'

/** Who may import whom, by folder; a folder may always import itself. `bin` wires and may import anything. */
const may: Readonly<Record<string, readonly string[]>> = {
  base: [],
  apis: ['base'],
  core: ['apis', 'base'],
  machinery: ['apis/meta', 'base'],
  drivers: ['core', 'apis', 'base'],
  controllers: ['core', 'machinery', 'apis', 'base'],
  agent: ['core', 'machinery', 'apis', 'base'],
  ovirt: ['core', 'machinery', 'apis', 'base'],
  cli: ['core', 'machinery/client', 'apis', 'base'],
  ui: ['core', 'machinery/client', 'apis', 'base'],
}

/** Files that need more than their folder may, each with the reason. */
const exceptions: Readonly<Record<string, readonly string[]>> = {
  // Events are a kind of their own that every controller writes through the client.
  'machinery/client/recorder.ts': ['apis/core/event.ts'],
}

/** Folders that decide and never act, with the packages they may use all the same: pure ones. */
const pure: Readonly<Record<string, readonly string[]>> = { apis: ['typebox'], core: [] }
const impure = /\b(Date\.now|Math\.random|new Date\(\)|performance\.now|process\.|setTimeout|crypto\.)/

const importPattern =
  /(?:^|\n)\s*(?:import|export)\b[^'"\n;]*?(?:\{[^}]*\}[^'"\n;]*?)?from\s*['"]([^'"]+)['"]|(?:^|\n)import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g

/** Where product code starts: what nothing leads to from here is there for tests only. */
const roots = ['bin/patchbay.ts', 'machinery/store/sqlite-worker.ts']

/** Every import of a module, as written. */
function importsOf(text: string): string[] {
  return [...text.matchAll(importPattern)].map((match) => match[1] ?? match[2] ?? match[3]!)
}

/** What a file of `src/` imports against the rules of docs/ARCHITECTURE.md; `file` is relative to src/. */
export function problemsOf(file: string, text: string): string[] {
  const top = file.split('/')[0]!
  const allowed = may[top]
  if (isTest(file)) return []
  const kits = importsOf(text).filter((from) => from.startsWith('#kit/'))
  if (kits.length) return kits.map((from) => `src/${file}: ${from} is a kit, which only tests may import`)
  if (!allowed) return []
  const own = exceptions[file] ?? []
  const problems = importsOf(text).flatMap((from): string[] => {
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
  const files = globSync('**/*.ts', { cwd: `${root}/src` })
  const texts = new Map(files.map((file) => [file, readFileSync(`${root}/src/${file}`, 'utf8')]))
  const graph = new Map([...texts].map(([file, text]) => [file, valueImports(file, text)]))
  const all = new Map([...texts].map(([file, text]) => [file, importedFiles(file, text)]))
  return [
    ...[...texts].flatMap(([file, text]) => problemsOf(file, text)),
    ...cycles(graph).map((cycle) => `import cycle: ${cycle}`),
    ...onlyForTests(all, roots).map((file) => `src/${file} is only for tests; move it to test/kit/${file}`),
  ]
}

/** Imports that exist at run time, as files relative to src/. */
function valueImports(file: string, text: string): string[] {
  const withoutTypes = text.replace(/(^|\n)\s*(import|export) type [^;]*?from\s*['"][^'"]+['"]/g, '')
  return importedFiles(file, withoutTypes)
}

/** The files of src/ that a text imports, relative to src/. */
function importedFiles(file: string, text: string): string[] {
  return importsOf(text).flatMap((from) => {
    if (from.startsWith('#')) return [from.slice(1)]
    if (!from.startsWith('.')) return []
    return [new URL(from, `file:///${file}`).pathname.slice(1)]
  })
}
