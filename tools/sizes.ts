import { globSync, readFileSync } from 'node:fs'
import { parseSource } from './source.ts'

/** Lines past which a file is looked at again (docs/CONTRIBUTING.md). */
const maxFile = { product: 400, test: 600 }
/** Lines past which a function is; what a test file hands to `describe` is a list of tests and may have any. */
const maxFunction = { product: 60, test: 100 }

/** Functions that are longer, by file and name, each with the reason. One that has become short enough has to go from here. */
const exceptions: Readonly<Record<string, string>> = {}

/** What of a file is too long. `file` is relative to the checkout. */
export function tooLong(file: string, text: string, known = exceptions): string[] {
  const kind = file.includes('.test.ts') || file.startsWith('test/') ? 'test' : 'product'
  const lines = text.split('\n').length
  const limit = maxFunction[kind]
  const long = parseSource(file.replace(/^src\//, ''), text).functions.filter(
    (one) => one.lines > limit && !(kind === 'test' && one.name === 'describe()'),
  )
  return [
    ...(lines > maxFile[kind] ? [`${file} has ${lines} lines; split it below ${maxFile[kind]}`] : []),
    ...long
      .filter(({ name }) => !(`${file} ${name}` in known))
      .map(({ name, line, lines }) => `${file}:${line} ${name} has ${lines} lines; split it below ${limit}`),
    ...Object.keys(known)
      .filter((one) => one.startsWith(`${file} `) && !long.some(({ name }) => one === `${file} ${name}`))
      .map((one) => `${one} is short enough, and no exception any more; take it out of tools/sizes.ts`),
  ]
}

/** Looks at every file of the checkout. */
export function checkSizes(root: string): string[] {
  const files = globSync('{src,test,tools,bench}/**/*.{ts,tsx}', { cwd: root })
  const gone = Object.keys(exceptions).filter((one) => !files.includes(one.split(' ')[0]!))
  return [
    ...files.flatMap((file) => tooLong(file, readFileSync(`${root}/${file}`, 'utf8'))),
    ...gone.map((one) => `${one} is no more; take it out of tools/sizes.ts`),
  ]
}
