import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { run } from './run.ts'

const sh = (script: string, options: Parameters<typeof run>[2] = {}) => run('/bin/sh', ['-c', script], options)

test('a program gets its input and its output is all that it wrote', async () => {
  assert.equal(await sh('cat; echo end', { input: 'ä\n' }), 'ä\nend\n')
  assert.equal((await sh('head -c 300000 /dev/zero')).length, 300_000)
})

test('a program that does not read its input fails by its exit code only', async () => {
  const input = 'x'.repeat(1_000_000)
  assert.equal(await sh('exit 0', { input }), '')
  await assert.rejects(sh('echo "no such link" >&2; exit 2', { input }), { message: /exit code 2\): no such link$/ })
})

test('a failure quotes the first lines of what the program complained of, and names what was done', async () => {
  const script = 'echo out; printf "one\\ntwo\\nthree\\nfour\\n" >&2; exit 3'
  await assert.rejects(sh(script, { what: 'naming the link' }), {
    kind: 'Unavailable',
    message: 'naming the link failed (exit code 3): one; two; three',
    data: { code: 3 },
  })
  await assert.rejects(sh('echo said; exit 1'), { message: /^\/bin\/sh -c echo said; exit 1 failed .*: said$/ })
})

test('a program that is not there is a matter of its package', async () => {
  await assert.rejects(run('/no/such/program', []), {
    kind: 'Unavailable',
    message: /^Cannot run \/no\/such\/program; is its Debian package installed/,
  })
})

test('one that takes too long is ended', async () => {
  await assert.rejects(sh('exec sleep 60', { timeoutMs: 50, what: 'waiting' }), {
    kind: 'Timeout',
    message: 'waiting took longer than 50 ms',
  })
})

test('one that is interrupted is ended, and one that was interrupted before is never begun', async (t) => {
  const stop = new AbortController()
  const running = sh('exec sleep 60', { signal: stop.signal, what: 'waiting' })
  stop.abort(new Error('Patchbay stops'))
  await assert.rejects(running, { kind: 'Aborted', message: 'waiting was interrupted' })
  const dir = await mkdtemp(join(tmpdir(), 'pb-run-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  await assert.rejects(sh(`touch ${dir}/begun`, { signal: stop.signal }), { kind: 'Aborted' })
  // What a shell would have done by now, one that is begun later has done.
  await sh(`touch ${dir}/later`)
  assert.deepEqual(await readdir(dir), ['later'])
})

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
      { kind: 'Unavailable', message: /^trying failed \(exit code 3\)/ },
      words,
    )
  assert.equal(await run('sh', ['-c', 'echo another'], { doneLine: 'done' }), 'another\n')
})
