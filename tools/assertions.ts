import { globSync } from 'node:fs'
import { isAsExpression, isNonNullExpression, type Node, type SourceFile } from 'typescript/unstable/ast'
import { createVirtualFileSystem, type FileSystem } from 'typescript/unstable/fs'
import { API } from 'typescript/unstable/sync'

/** What a folder says without the compiler's proof, and how long it is. */
type Assertions = Readonly<{ casts: number; nonNulls: number; lines: number }>

/** Most casts (`as`) and non-null assertions (`!`) per 1000 lines of a top folder of src/, tests apart. */
type Limit = Readonly<{ casts: number; nonNulls: number }>

const limits: Readonly<Record<string, Limit>> = {
  agent: { casts: 2, nonNulls: 0.5 },
  apis: { casts: 9.5, nonNulls: 0 },
  base: { casts: 3, nonNulls: 0 },
  bin: { casts: 6, nonNulls: 2 },
  cli: { casts: 2.5, nonNulls: 2.5 },
  controllers: { casts: 2, nonNulls: 0 },
  core: { casts: 3, nonNulls: 2 },
  drivers: { casts: 2.5, nonNulls: 2.5 },
  machinery: { casts: 3.5, nonNulls: 0.5 },
  ovirt: { casts: 3, nonNulls: 0 },
  server: { casts: 2.5, nonNulls: 2 },
  ui: { casts: 2.5, nonNulls: 0 },
}

/** Counts over the syntax trees of `files`, which are relative to `root`, by their top folder below src/. */
function countAssertions(root: string, files: readonly string[], fs?: FileSystem): ReadonlyMap<string, Assertions> {
  const config = `${root}/assertions.json`
  // No imports are followed: what a name means is of no interest, only how the text is built.
  const options = { noLib: true, noResolve: true, noEmit: true, allowImportingTsExtensions: true, types: [] }
  const readFile = (path: string) =>
    path === config ? JSON.stringify({ compilerOptions: options, files }) : fs?.readFile?.(path)
  const api = new API({ cwd: root, fs: { ...fs, readFile } })
  try {
    const [project] = api.updateSnapshot({ openProjects: [config] }).getProjects()
    const counts = new Map<string, Assertions>()
    for (const file of files) {
      const tree = project?.program.getSourceFile(`${root}/${file}`)
      if (!tree) throw new Error(`${file} could not be parsed`)
      const folder = file.split('/')[1]!
      const before = counts.get(folder) ?? { casts: 0, nonNulls: 0, lines: 0 }
      const here = countIn(tree, tree, { ...before, lines: before.lines + tree.text.trimEnd().split('\n').length })
      counts.set(folder, here)
    }
    return counts
  } finally {
    api.close()
  }
}

function countIn(tree: SourceFile, node: Node, before: Assertions): Assertions {
  let { casts, nonNulls } = before
  // `as const` claims nothing that the compiler does not see itself.
  if (isAsExpression(node) && node.type.getText(tree) !== 'const') casts += 1
  if (isNonNullExpression(node)) nonNulls += 1
  let counts: Assertions = { ...before, casts, nonNulls }
  node.forEachChild((child) => {
    counts = countIn(tree, child, counts)
  })
  return counts
}

/** The folders that have more than they may. */
export function assertionProblems(counts: ReadonlyMap<string, Assertions>, allowed = limits): string[] {
  return [...counts].flatMap(([folder, { casts, nonNulls, lines }]) => {
    const limit = allowed[folder]
    if (!limit) return [`src/${folder} has no limit of casts in tools/assertions.ts`]
    const per = (count: number) => (1000 * count) / lines
    return [
      ...(per(casts) > limit.casts ? [tooMany(folder, 'casts (as)', per(casts), limit.casts)] : []),
      ...(per(nonNulls) > limit.nonNulls
        ? [tooMany(folder, 'non-null assertions (!)', per(nonNulls), limit.nonNulls)]
        : []),
    ]
  })
}

function tooMany(folder: string, what: string, is: number, may: number): string {
  return `src/${folder} has ${is.toFixed(1)} ${what} per 1000 lines; it may have ${may}`
}

/** Checks the whole of src/. */
export function checkAssertions(root: string): string[] {
  const files = globSync('src/**/*.{ts,tsx}', { cwd: root, exclude: ['**/*.test.ts', '**/*.d.ts'] })
  return assertionProblems(countAssertions(root, files))
}

/** The same over texts that are in no file, by path. */
export function countTexts(texts: Readonly<Record<string, string>>): ReadonlyMap<string, Assertions> {
  const files = Object.fromEntries(Object.entries(texts).map(([file, text]) => [`/x/${file}`, text]))
  return countAssertions('/x', Object.keys(texts), createVirtualFileSystem(files))
}
