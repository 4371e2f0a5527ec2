import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AuditLog } from './audit-log.ts'

test('refusals of one user push nothing out of the log, and their number is written down', () => {
  const lines: string[] = []
  const log = new AuditLog({ keep: (line) => lines.push(line), maxRefusals: 3, now: () => 0 })
  for (let i = 0; i < 1000; i++) log.writeRefusal('mallory', `mallory ${i}`)
  log.writeRefusal('jane', 'jane')
  log.write('done')
  assert.deepEqual(lines, ['mallory 0', 'mallory 1', 'mallory 2', 'jane', 'done'])
  log.flush()
  assert.deepEqual(JSON.parse(lines.at(-1) ?? ''), {
    time: '1970-01-01T00:00:00.000Z',
    user: 'mallory',
    verb: '(refused)',
    omitted: 997,
  })
  log.flush()
  assert.equal(lines.length, 6, 'what was summed up is not summed up again')
  log.writeRefusal('mallory', 'later')
  assert.equal(lines.at(-1), 'later')
})

test('refusals under many names count as one beyond a number', () => {
  const lines: string[] = []
  const log = new AuditLog({ keep: (line) => lines.push(line), maxRefusals: 1, now: () => 0 })
  for (let i = 0; i < 5000; i++) log.writeRefusal(`address ${i}`, 'refused')
  assert.equal(lines.length, 1001)
  log.flush()
  assert.equal(JSON.parse(lines.at(-1) ?? '').omitted, 3999)
})
