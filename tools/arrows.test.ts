import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkArrows, cycles, onlyForTests, problemsOf } from './arrows.ts'
import { chainsOut, moduleOf } from './reach.ts'

for (const [file, text, problem] of [
  ['core/nic/x.ts', "import { readFile } from 'node:fs/promises'", /core is pure and may not import node:fs/],
  ['core/nic/x.ts', "import { run } from '#drivers/host/run.ts'", /core may not import #drivers/],
  ['core/nic/x.ts', "import { x } from '../../drivers/x.ts'", /leaves its folder/],
  ['core/nic/x.ts', 'const now = Date.now()', /may not read the clock/],
  ['controllers/vm.ts', "import { Cni } from '#drivers/cni/cni.ts'", /controllers may not import #drivers/],
  ['machinery/rest/x.ts', "import { vm } from '#apis/kubevirt/vm.ts'", /machinery may not import #apis\/kubevirt/],
  ['core/vm/x.ts', "import { y } from '#core/nic/y.ts'", /use a relative path/],
  ['bin/x.ts', "import { z } from '#kit/core/nic/z.ts'", /is a kit, which only tests may import/],
] as const)
  test(`arrows: ${file} with ${text} is a problem`, () => assert.match(problemsOf(file, text).join(), problem))

test('arrows: what is allowed is no problem', () => {
  assert.deepEqual(
    problemsOf(
      'agent/x.ts',
      "import { plan } from '#core/nic/plan.ts'\nimport type { Client } from '#machinery/client/client.ts'",
    ),
    [],
  )
})

test('arrows: a cycle is found and named', () => {
  assert.deepEqual(
    cycles(
      new Map([
        ['a', ['b']],
        ['b', ['c']],
        ['c', ['a']],
      ]),
    ),
    ['a -> b -> c -> a'],
  )
})

const sources: Readonly<Record<string, string>> = {
  'core/a.ts': "import { b } from './b.ts'\nimport type { far } from '#base/far.ts'",
  'core/b.ts': "export { c } from '#base/c.ts'\nimport { Type } from 'typebox'\nconst one = { process: 1 }.process",
  'base/c.ts': "// process.exit() is Node's\nimport { hash } from 'node:crypto'\nconst text = 'Buffer'",
  'base/far.ts': "import { run } from 'node:child_process'",
}

function chains(changed: Readonly<Record<string, string>> = {}): string[] {
  const all = Object.entries({ ...sources, ...changed })
  return chainsOut(
    ['core/a.ts'],
    new Map(all.map(([file, text]) => [file, moduleOf(file, text)])),
    (name) => name === 'typebox',
  )
}

test('arrows: the way from core to a module of Node is shown, over types it does not lead', () => {
  assert.deepEqual(chains(), ['core/a.ts -> core/b.ts -> base/c.ts -> node:crypto'])
})

for (const [what, text, end] of [
  ['a global of Node', 'export const c = Buffer.byteLength("x")', 'Buffer'],
  ['a global of Node in a default', 'export function c(level = process.env.X) {}', 'process'],
  ['a module loaded later', "export const c = () => import('node:fs')", 'node:fs'],
  ['a module loaded for what it does', "import 'node:fs'", 'node:fs'],
  ['a package', "export * from 'pino'", 'pino'],
  ['an import whose names are types, which stays as an empty one', "import { type X } from 'pino'", 'pino'],
] as const)
  test(`arrows: the way to ${what} is found`, () => {
    assert.deepEqual(chains({ 'base/c.ts': text }), [`core/a.ts -> core/b.ts -> base/c.ts -> ${end}`])
  })

test('arrows: what only tests import is found', () => {
  const files = new Map([
    ['bin/main.ts', ['core/a.ts']],
    ['core/a.ts', ['core/b.ts']],
    ['core/b.ts', []],
    ['core/b.test.ts', ['core/b.ts', 'core/kit.ts']],
    ['core/kit.ts', ['core/b.ts']],
  ])
  assert.deepEqual(onlyForTests(files, ['bin/main.ts']), ['core/kit.ts'])
})

test('arrows: this source keeps them', () => {
  assert.deepEqual(checkArrows(new URL('..', import.meta.url).pathname.replace(/\/$/, '')), [])
})
