import { spawn } from 'node:child_process'
import { appendFileSync, globSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { provideRegistry } from '../test/kit/drivers/image/registry.ts'
import { buildPage } from './page/build.ts'
import type { Row } from './rows.ts'
import { buildDistro } from './stage/distro.ts'
import { buildDemoGuest } from './stage/image.ts'
import { inOwnNetns } from './stage/netns.ts'
import { patience } from './stage/patience.ts'

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')
const node = [process.execPath, '--disable-warning=ExperimentalWarning']

/** One layer of the pyramid (docs/CONTRIBUTING.md): which files, how, and where they run. */
type Layer = Readonly<{
  name: string
  files: readonly string[]
  flags: readonly string[]
  ownNetns: boolean
  /** Longest time it may take, milliseconds, when that is not `layerTimeoutMs`. */
  timeoutMs?: number
  /** Longest time that one of its tests may take, milliseconds, when that is not `testTimeoutMs`. */
  testTimeoutMs?: number
  /** Files that run at a time, each in a namespace of its own; together, one after the other, unless given. */
  lanes?: number
  /** Downloads what the layer needs, where there is a network to do it by. */
  prepare?: () => Promise<unknown>
}>

const real = globSync('src/**/*.real.test.ts', { cwd: root })
const unit = globSync('{src,tools}/**/*.test.ts', { cwd: root, exclude: ['**/*.real.test.ts'] })
const layers: readonly Layer[] = [
  // Forced to exit: a thread of a store that is slow to go must not hold up what has been tested.
  { name: 'unit and contract', files: unit, flags: ['--test-isolation=none', '--test-force-exit'], ownNetns: false },
  {
    name: 'component',
    files: globSync('test/component/*.test.ts', { cwd: root }),
    flags: ['--test-concurrency=1'],
    ownNetns: true,
  },
  // These make namespaces of their own, and download packages outside of them.
  { name: 'drivers on the real host', files: real, flags: ['--test-concurrency=1'], ownNetns: false },
  {
    name: 'end to end',
    files: globSync('test/e2e/*.test.ts', { cwd: root }),
    flags: [],
    ownNetns: true,
    // They wait for guests more than they work.
    lanes: 2,
  },
  {
    name: 'distribution',
    files: globSync('test/distro/*.test.ts', { cwd: root }),
    // Their guests boot a whole Debian: two files at a time would take as long, and each test twice as long.
    flags: ['--test-concurrency=1'],
    ownNetns: true,
    testTimeoutMs: 600_000,
    prepare: () => Promise.all([buildDistro(), provideRegistry()]),
  },
  // One browser and one simulated cluster for each file.
  {
    name: 'page',
    files: globSync('test/page/*.test.ts', { cwd: root }),
    flags: ['--test-concurrency=1'],
    ownNetns: true,
    prepare: buildPage,
  },
  { name: 'attack', files: globSync('test/attack/*.test.ts', { cwd: root }), flags: [], ownNetns: true },
  // Clients of others, which are downloaded and built when their test begins for the first time.
  {
    name: 'peers',
    files: globSync('test/peers/*.test.ts', { cwd: root }),
    flags: ['--test-concurrency=1'],
    ownNetns: false,
    timeoutMs: 1_200_000,
  },
  {
    name: 'SR-IOV',
    files: globSync('test/sriov/*.test.ts', { cwd: root }),
    flags: ['--test-concurrency=1'],
    ownNetns: false,
    timeoutMs: 1_200_000,
  },
  { name: 'Debian 13', files: globSync('test/debian13/*.test.ts', { cwd: root }), flags: [], ownNetns: false },
]

/** Longest time one test may take, milliseconds; a guest under emulation on a busy machine is slow. */
const testTimeoutMs = 300_000

async function main(): Promise<number> {
  const [only, part = ''] = process.argv.slice(2)
  const folder = await mkdtemp('/tmp/pb-rows-')
  const rows: Row[] = []
  try {
    if (only === undefined && (await run([...node, 'tools/check.ts', '--without-tests'])) !== 0)
      rows.push({ name: 'npm run check', file: '', result: 'failed', ms: 0 })
    await buildDemoGuest()
    for (const whole of layers.filter(({ name }) => only === undefined || name.includes(only))) {
      const layer = { ...whole, files: whole.files.filter((file) => file.includes(part)) }
      const file = `${folder}/${layer.name.replaceAll(' ', '-')}`
      console.log(`\n=== ${layer.name}: ${layer.files.length} files`)
      const start = performance.now()
      if (layer.files.length) await layer.prepare?.()
      const code = await runLayer(layer, file)
      const own = readRows(file)
      rows.push(...own)
      console.log(`=== ${layer.name}: ${own.length} tests in ${((performance.now() - start) / 1000).toFixed(0)} s`)
      // A file that dies before its first test has no row to tell of it.
      if (code !== 0 && !own.some((row) => row.result === 'failed'))
        rows.push({ name: `${layer.name} ended with ${code}`, file: '', result: 'failed', ms: 0 })
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return summary(rows, only === undefined)
}

function runLayer(layer: Layer, file: string): Promise<number> {
  if (layer.lanes === undefined) return runFiles(layer, layer.files, { file, shown: 'stdout' })
  return runLanes(layer, layer.lanes, file)
}

/** Runs the files of a layer a few at a time, the longest first; what each has to say is shown when it is done. */
async function runLanes(layer: Layer, lanes: number, file: string): Promise<number> {
  const lines = (name: string) => readFileSync(`${root}/${name}`, 'utf8').length
  const queue = layer.files.toSorted((a, b) => lines(b) - lines(a))
  let worst = 0
  const lane = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      const own = `${file}-${name.replaceAll('/', '-')}`
      const code = await runFiles(layer, [name], { file: own, shown: `${own}.txt` })
      process.stdout.write(textOf(`${own}.txt`))
      if (code !== 0) console.log(`${name} ended with ${code}`)
      worst = Math.max(worst, code)
      appendFileSync(file, textOf(own))
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return worst
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // Whoever should have written it died before.
    return ''
  }
}

function runFiles(
  layer: Layer,
  files: readonly string[],
  { file, shown }: Readonly<{ file: string; shown: string }>,
): Promise<number> {
  const reporters = [
    '--test-reporter=spec',
    `--test-reporter-destination=${shown}`,
    `--test-reporter=${root}/tools/rows.ts`,
    `--test-reporter-destination=${file}`,
  ]
  const command = [
    ...node,
    '--test',
    ...layer.flags,
    `--test-timeout=${patience * (layer.testTimeoutMs ?? testTimeoutMs)}`,
    ...reporters,
    ...files,
  ]
  return layer.ownNetns ? inOwnNetns(command) : run(command, layer.timeoutMs)
}

/** Longest time a layer may take, milliseconds: one that hangs has failed. */
const layerTimeoutMs = 600_000

function run([program, ...args]: readonly string[], timeout = layerTimeoutMs): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program!, args, { stdio: 'inherit', cwd: root, timeout, killSignal: 'SIGKILL' })
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
}

function readRows(file: string): Row[] {
  return textOf(file)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row)
}

/** Promises of docs/SPECIFICATION.md with the tests behind them: table rows `| id | promise | test: NAME |`. */
function promises(): { id: string; promise: string; test: string }[] {
  const text = readFileSync(`${root}/docs/SPECIFICATION.md`, 'utf8')
  return [...text.matchAll(/^\| ([A-Z]+\d+) \| (.+?) \| test: (.+?) \|$/gm)].map(([, id, promise, test]) => ({
    id: id!,
    promise: promise!,
    test: test!,
  }))
}

/** Prints promise → result from this run, and closes with the count; a promise whose test is missing or skipped fails. */
function summary(rows: readonly Row[], complete: boolean): number {
  const byName = new Map(rows.map((row) => [row.name, row]))
  const results = complete
    ? promises().map((one) => ({ ...one, result: byName.get(one.test)?.result ?? 'missing' }))
    : []
  if (results.length) console.log('\n=== promises of docs/SPECIFICATION.md')
  for (const { id, promise, result } of results)
    console.log(`${result === 'passed' ? 'ok     ' : result.padEnd(7)} ${id.padEnd(4)} ${promise}`)
  for (const row of rows.filter(({ result }) => result === 'skipped'))
    console.log(`skipped: ${row.name}${row.why ? ` (${row.why})` : ''}`)
  for (const row of rows.filter(({ result }) => result === 'failed'))
    console.log(`FAILED: ${row.name} ${row.file.replace(root, '')}\n  ${(row.why ?? '').replaceAll('\n', '\n  ')}`)
  const broken = results.filter(({ result }) => result !== 'passed')
  const count = (result: Row['result']) => rows.filter((row) => row.result === result).length
  const failed = count('failed') + broken.filter(({ result }) => result !== 'failed').length
  console.log(`\n${count('passed')} passed, ${failed} failed, ${count('skipped')} skipped`)
  return failed || !rows.length ? 1 : 0
}

process.exitCode = await main()
