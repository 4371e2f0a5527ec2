import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '#base/fault.ts'
import { MigrationJobs } from './migration-jobs.ts'

/** A job that a test ends. */
function open() {
  const jobs = new MigrationJobs()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()
  jobs.start('m', 0, () => promise, ended.resolve)
  return { jobs, resolve, reject, ended: ended.promise }
}

test('a job is pending until its hypervisor answers, whatever it answers', async () => {
  for (const failure of [undefined, new Fault('Unavailable', 'the connection broke')]) {
    const { jobs, resolve, reject, ended } = open()
    assert.deepEqual([jobs.isPending('m'), jobs.failure('m')], [true, undefined])
    if (failure) reject(failure)
    else resolve()
    await ended
    assert.deepEqual([jobs.isPending('m'), jobs.failure('m')], [false, failure?.message])
  }
})

test('one that is forgotten while it is pending stays pending, and is forgotten at its end', async () => {
  const { jobs, reject, ended } = open()
  jobs.forget('m')
  assert.equal(jobs.isPending('m'), true)
  reject(new Error('too late'))
  await ended
  assert.deepEqual([jobs.isPending('m'), jobs.failure('m')], [false, undefined])
})

test('one that has ended is forgotten at once', async () => {
  const { jobs, reject, ended } = open()
  reject(new Error('no'))
  await ended
  jobs.forget('m')
  assert.equal(jobs.failure('m'), undefined)
})

test('a job stalls from when it last had fewer bytes left than ever before', () => {
  const { jobs } = open()
  for (const [remainingBytes, nowMs, expected] of [
    [1000, 100, 0],
    [900, 200, 0],
    // A guest that writes faster than it is sent makes it more again.
    [950, 300, 100],
    [900, 700, 500],
    [899, 800, 0],
  ] as const)
    assert.equal(jobs.stalledMs('m', { remainingBytes }, nowMs), expected, `${remainingBytes} at ${nowMs}`)
})

test('a job that an earlier process started stalls from when it is first seen', () => {
  const jobs = new MigrationJobs()
  assert.deepEqual(
    [jobs.stalledMs('m', { remainingBytes: 10 }, 5000), jobs.stalledMs('m', { remainingBytes: 10 }, 6000)],
    [0, 1000],
  )
  assert.equal(jobs.isPending('m'), false)
})
