import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Outcome } from './program.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs a script where nothing is left that only Node has. Resolves to what it printed. */
async function runWithoutNode(t: TestContext, script: string): Promise<{ stdout: string; stderr: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'pb-browser-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'page.mjs')
  await writeFile(file, script)
  const args = ['--import', join(root, 'tools/browser/without-node.ts'), file]
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: root }, (_, stdout, stderr) => resolve({ stdout, stderr }))
  })
}

test('core, apis and the client run without anything of Node', async (t) => {
  const files = globSync('{core,apis,machinery/client}/**/*.ts', {
    cwd: join(root, 'src'),
    exclude: ['**/*.test.ts'],
  })
  const program = `${new URL('program.ts', import.meta.url)}?${encodeURIComponent(JSON.stringify(files))}`
  const { stdout, stderr } = await runWithoutNode(t, `await import(${JSON.stringify(program)})`)
  assert.ok(stdout, stderr)
  const { modules, steps, links } = JSON.parse(stdout) as Outcome
  assert.ok(modules > 100, String(modules))
  // The link is named by the hash of its network (facts/kubevirt.md §1.3): this is SHA-256 of `b`.
  assert.deepEqual([steps, links], [['update b'], ['tap0', 'tap3e23e816003']])
})

for (const [what, script] of [
  ['a module of Node', "await import('node:fs')"],
  ['a module of Node behind ours', `await import(${JSON.stringify(new URL('base/file.ts', `file://${root}src/`))})`],
  ['a global of Node', 'Buffer.from([])'],
  ['the process', 'process.env'],
] as const)
  test(`without Node, ${what} is not there`, async (t) => {
    const { stdout, stderr } = await runWithoutNode(t, `${script}\nconsole.log('went on')`)
    assert.equal(stdout, '')
    assert.match(stderr, /which no browser has|(Buffer|process) is not defined/)
  })
