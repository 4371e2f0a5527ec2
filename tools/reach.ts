import { parseSource } from './source.ts'

/** What a file of src/ needs at run time: files of src/, packages and Node's modules, and what only Node has as globals. */
export type Module = Readonly<{
  files: readonly string[]
  packages: readonly string[]
  globals: readonly string[]
}>

/** What Node defines and a browser does not. */
const nodeGlobals = [
  'process',
  'Buffer',
  'global',
  'require',
  'setImmediate',
  'clearImmediate',
  '__dirname',
  '__filename',
]

/** Reads a file of src/ by what it needs at run time; `file` is relative to src/. */
export function moduleOf(file: string, text: string): Module {
  const { imports, names } = parseSource(file, text)
  const from = imports.filter(({ isType }) => !isType).map((one) => one.from)
  const isOurs = (one: string) => /^[#.]/.test(one)
  return {
    files: from.filter((one) => isOurs(one) && !isStyle(one)).map((one) => targetOf(file, one)),
    packages: from.filter((one) => !isOurs(one)),
    globals: nodeGlobals.filter((name) => names.has(name)),
  }
}

/** The files of src/ that a file imports, also those of which it only needs the types. */
export function filesOf(file: string, text: string): readonly string[] {
  const { imports } = parseSource(file, text)
  const isModule = ({ from }: { from: string }) => /^[#.]/.test(from) && !isStyle(from)
  return imports.filter(isModule).map(({ from }) => targetOf(file, from))
}

/** A style sheet, which the build of the page takes from the module that imports it. */
function isStyle(from: string): boolean {
  return from.endsWith('.css')
}

/** The file of src/ that an import means. */
function targetOf(file: string, from: string): string {
  return from.startsWith('#') ? from.slice(1) : new URL(from, `file:///${file}`).pathname.slice(1)
}

/**
 * What the files `from` lead to, over whatever they import, that is neither a file of src/ nor an allowed package: the shortest
 * way to each use of it, as `a -> b -> node:x`.
 */
export function chainsOut(
  from: readonly string[],
  modules: ReadonlyMap<string, Module>,
  isAllowed: (name: string) => boolean,
): string[] {
  const trails = new Map(from.map((file) => [file, [file]]))
  const found: string[] = []
  // A map is walked in the order in which things were put there, those that come meanwhile included: breadth first.
  for (const [file, trail] of trails) {
    const module = modules.get(file)
    if (!module) throw new Error(`${trail.join(' -> ')} is no file of src/`)
    const foreign = module.packages.filter((name) => !isAllowed(name))
    for (const end of [...foreign, ...module.globals]) found.push([...trail, end].join(' -> '))
    for (const next of module.files) if (!trails.has(next)) trails.set(next, [...trail, next])
  }
  return found
}
