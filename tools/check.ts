import { spawn } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { checkArrows } from './arrows.ts'
import { checkAssertions } from './assertions.ts'
import { staleFields } from './kubevirt-fields.ts'
import { staleManifests } from './manifests.ts'
import { staleNotices } from './notices.ts'
import { checkWeight } from './page/weight.ts'
import { checkProse } from './prose.ts'
import { checkSizes } from './sizes.ts'

const root = new URL('..', import.meta.url).pathname.replace(/\/$/, '')

/** Most lines shown of what one check found: the last ones, where programs sum up. */
const maxShown = 60

/** A check and what it found wrong; an empty list is good. */
type Check = Readonly<{ name: string; run: () => Promise<readonly string[]>; isTest?: boolean }>

const isStore = (file: string) => file.startsWith('src/machinery/store/')
const isWaiting = (file: string) => /^(src\/(drivers|machinery\/(http|client-node))|tools)\//.test(file)

const checks: readonly Check[] = [
  { name: 'types', run: () => command('tsc', ['-p', root]) },
  { name: 'types of the page', run: () => command('tsc', ['-p', `${root}/src/ui`]) },
  {
    name: 'lint and format',
    run: () => command('npx', ['--no-install', 'biome', 'check', '--error-on-warnings', root]),
  },
  { name: 'unused code', run: () => command('knip', ['--no-progress']) },
  { name: 'build and weight of the page', run: checkWeight },
  { name: 'arrows', run: async () => checkArrows(root) },
  { name: 'casts and non-null assertions', run: async () => checkAssertions(root) },
  { name: 'sizes', run: async () => checkSizes(root) },
  { name: 'prose', run: async () => checkProse(root) },
  { name: 'notices', run: async () => staleNotices(root) },
  { name: 'fields of KubeVirt', run: async () => staleFields(root) },
  { name: 'manifests of other people', run: async () => staleManifests(root) },
  { name: 'documentation links', run: async () => brokenLinks() },
  // The store waits for disks, and tests of connections and programs for these: side by side they take the time of the longest.
  { name: 'unit tests of the store', run: () => unitTests(isStore), isTest: true },
  { name: 'unit tests of what waits', run: () => unitTests(isWaiting), isTest: true },
  {
    name: 'unit tests of everything else',
    run: () => unitTests((one) => !isStore(one) && !isWaiting(one)),
    isTest: true,
  },
]

/** Those that are quick; `npm test` runs the slow ones too. */
function unitTests(isMeant: (file: string) => boolean): Promise<readonly string[]> {
  const files = globSync('{src,tools}/**/*.test.ts', { cwd: root, exclude: ['**/*.{real,slow}.test.ts'] })
  const flags = ['--test', '--test-isolation=none', '--test-force-exit', '--test-timeout=60000']
  return command(process.execPath, [...flags, ...files.filter(isMeant)])
}

function brokenLinks(): string[] {
  return globSync('{*.md,docs/**/*.md}', { cwd: root }).flatMap((file) => {
    const text = readFileSync(`${root}/${file}`, 'utf8')
    const folder = new URL(file, `file://${root}/`)
    return [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].flatMap(([, target]) => {
      const path = new URL(target!, folder).pathname
      return globSync(path).length ? [] : [`${file} links to ${target}, which does not exist`]
    })
  })
}

function command(program: string, args: readonly string[]): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1' },
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk))
    child.on('error', reject)
    child.on('close', (code) => resolve(code === 0 ? [] : output.trimEnd().split('\n')))
  })
}

// `npm test` runs the unit tests itself, for its table.
const withoutTests = process.argv.includes('--without-tests')
const wanted = checks.filter(({ isTest }) => !(withoutTests && isTest))
const results = await Promise.all(
  wanted.map(async ({ name, run }) => {
    const start = performance.now()
    const problems = await run()
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    console.log(`${problems.length ? 'FAIL' : 'ok  '} ${name} (${seconds} s)`)
    if (problems.length)
      console.log(
        problems
          .slice(-maxShown)
          .map((line) => `     ${line}`)
          .join('\n'),
      )
    return problems.length === 0
  }),
)
process.exitCode = results.every(Boolean) ? 0 : 1
