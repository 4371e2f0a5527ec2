import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkArrows, cycles, onlyForTests, problemsOf } from './arrows.ts'

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
