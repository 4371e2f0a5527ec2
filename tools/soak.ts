import { spawnSync } from 'node:child_process'

/** Long rounds of tests that `npm test` runs for a short time: the layer, the files of it, and what makes them long. */
const rounds: Readonly<Record<string, readonly [layer: string, part: string, env: Readonly<Record<string, string>>]>> =
  {
    attack: ['attack', '', { ATTACK: '1000000' }],
    disks: ['distribution', 'kills', { GUESTS: '10', PATIENCE: '4' }],
    host: ['end to end', 'heal', { ROUNDS: '200' }],
    fuzz: ['component', 'fuzz', { FUZZ: '100000' }],
    kill: ['component', 'kill', { ROUNDS: '40' }],
  }

const [name = ''] = process.argv.slice(2)
const round = rounds[name]
if (!round) {
  console.error(`There is no long round ${JSON.stringify(name)}; there are: ${Object.keys(rounds).join(', ')}`)
  process.exit(2)
}
const [layer, part, env] = round
const args = ['--disable-warning=ExperimentalWarning', 'tools/test.ts', layer, part]
process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...env } }).status ?? 1
