import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '#base/fault.ts'
import { run } from './run.ts'

const failure = (kind: string, text: RegExp) => (error: unknown) =>
  error instanceof Fault && error.kind === kind && text.test(error.message)

test('a program that says it is done is waited for no longer', async () => {
  const start = performance.now()
  const out = await run('sh', ['-c', 'echo one; echo done; exec sleep 5'], { doneLine: 'done' })
  assert.equal(out, 'one\ndone\n')
  assert.ok(performance.now() - start < 4000, 'it was waited for')
})

test('a line that only holds the word is not the one, and a program that fails before it says so fails', async () => {
  for (const words of ['echo undone; exit 3', 'echo "done not"; exit 3', 'printf done; exit 3'])
    await assert.rejects(
      run('sh', ['-c', words], { doneLine: 'done', what: 'trying' }),
      failure('Unavailable', /^trying failed \(exit code 3\)/),
      words,
    )
  assert.equal(await run('sh', ['-c', 'echo another'], { doneLine: 'done' }), 'another\n')
})

test('a program that takes too long is killed, one that is not there is named, and an interruption ends it', async () => {
  await assert.rejects(run('sleep', ['9'], { timeoutMs: 50 }), failure('Timeout', /sleep 9 took longer than 50 ms/))
  await assert.rejects(run('no-such-program', []), failure('Unavailable', /Cannot run no-such-program/))
  await assert.rejects(
    run('sleep', ['9'], { signal: AbortSignal.timeout(50) }),
    failure('Aborted', /sleep 9 was interrupted/),
  )
})
