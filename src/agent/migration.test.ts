import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MigrationState, MigrationStepName } from '#apis/kubevirt/migration.ts'
import { timestamp } from '#base/time.ts'
import { FakeMigration } from '#kit/agent/fake-migration.ts'

const step = (name: MigrationStepName, generation = 1) => ({ step: { generation, do: name } })

/** A migration that both agents have published their first observations of. */
async function begun(state: MigrationState = {}): Promise<FakeMigration> {
  const one = new FakeMigration(state)
  await one.target()
  await one.source()
  await one.target()
  one.story.length = 0
  return one
}

/** One whose guest is being sent. */
async function sending(state: MigrationState = {}): Promise<FakeMigration> {
  const one = await begun()
  one.write({ ...step('send'), startTimestamp: timestamp(), mode: 'PreCopy', ...state })
  one.remainingBytes = 1000
  await one.source()
  await one.target()
  assert.deepEqual(one.story, ['send'])
  one.story.length = 0
  return one
}

test('both agents publish what they see before anything is begun, and the target where it is', async () => {
  const one = await begun()
  assert.deepEqual(one.state.source, { generation: 0, sequence: 1, guest: 'running', isUnderway: false })
  assert.deepEqual(one.state.target, { generation: 0, sourceSequence: 1, guest: 'none' })
  assert.equal(one.state.targetNodeAddress, '127.0.0.1')
  assert.deepEqual(one.story, [])
})

test('a guest that its owner paused is published as paused', async () => {
  const one = new FakeMigration({})
  one.copies.source = 'paused'
  await one.source()
  assert.deepEqual([one.state.source?.guest, one.state.source?.isPaused], ['stopped', true])
})

test('a guest is sent once for a generation, also by a process that does not know it was', async () => {
  const one = await sending()
  assert.deepEqual([one.state.source?.generation, one.state.source?.isUnderway], [1, true])
  await one.source()
  one.restart()
  await one.source()
  assert.deepEqual(one.story, [])
  one.remainingBytes = undefined
  await one.source()
  assert.deepEqual([one.state.source?.guest, one.state.source?.isUnderway], ['running', false])
})

test('the sandbox of a target is not looked over while the guest is being sent, and is when the sending has ended', async () => {
  const one = await sending()
  const { ensured } = one
  await one.target()
  assert.equal(one.ensured, ensured)
  one.remainingBytes = undefined
  one.end(new Error('no way'))
  await one.source()
  await one.target()
  assert.equal(one.ensured, ensured + 1)
})

test('a guest that has arrived runs on after its source has ended, and both are published at once', async () => {
  const one = await sending()
  Object.assign(one.copies, { source: 'paused', target: 'paused' })
  await one.source()
  assert.deepEqual(one.story, ['kill source', 'resume target'])
  const { source, target } = one.state
  assert.deepEqual([source?.guest, target?.guest], ['gone', 'running'])
  assert.deepEqual([target?.generation, target?.sourceSequence], [source?.generation, source?.sequence])
})

test('one that was paused when it was sent stays paused', async () => {
  const one = await sending({ mode: 'Paused' })
  Object.assign(one.copies, { source: 'paused', target: 'paused' })
  await one.source()
  assert.deepEqual([one.story, one.copies.target], [['kill source'], 'paused'])
})

test('while the guest stands still the target is watched until it has arrived', async () => {
  const one = await sending()
  Object.assign(one.copies, { source: 'paused', target: 'moving' })
  setTimeout(() => (one.copies.target = 'paused'), 20)
  await one.source()
  assert.deepEqual(one.story, ['kill source', 'resume target'])
})

test('a source that got its guest back is not ended: what is there is published', async () => {
  const one = await sending()
  Object.assign(one.copies, { source: 'running', target: 'paused' })
  one.remainingBytes = undefined
  one.end(new Error('the connection broke'))
  await one.source()
  await one.target()
  assert.deepEqual(one.story, [])
  assert.deepEqual([one.state.source?.guest, one.state.source?.failure], ['running', 'the connection broke'])
  assert.equal(one.state.target?.guest, 'arrived')
})

test('a recall is tried until the job has ended', async () => {
  const one = await sending()
  one.write(step('recall', 2))
  one.abortFails = true
  await one.source()
  await one.source()
  assert.deepEqual(one.story, ['abort', 'abort'])
  one.remainingBytes = undefined
  one.end(new Error('called off'))
  await one.source()
  assert.deepEqual(one.story, ['abort', 'abort'])
  assert.deepEqual([one.state.source?.generation, one.state.source?.isUnderway], [2, false])
})

test('a guest that arrives though it was recalled is not lost', async () => {
  const one = await sending()
  one.write(step('recall', 2))
  Object.assign(one.copies, { source: 'paused', target: 'paused' })
  await one.source()
  assert.deepEqual([one.copies.source, one.copies.target], ['gone', 'running'])
})

test('a migration that takes longer than it may is published as late', async () => {
  const one = await sending({ startTimestamp: '2020-01-01T00:00:00Z' })
  await one.source()
  assert.equal(one.state.source?.isLate, true)
})

test('a source that runs is not ended, whatever the step says; one that stands is', async () => {
  const one = await begun()
  one.write(step('endSource', 3))
  await one.source()
  assert.deepEqual([one.story, one.state.source?.generation], [[], 3])
  one.copies.source = 'paused'
  one.write(step('endSource', 4))
  await one.source()
  assert.deepEqual([one.story, one.state.source?.guest], [['kill source'], 'gone'])
})

test('a source is resumed only when nothing is left at the target', async () => {
  const one = await begun()
  Object.assign(one.copies, { source: 'paused', target: 'paused' })
  one.write(step('resumeSource', 3))
  await one.source()
  assert.deepEqual(one.story, [])
  one.copies.target = 'gone'
  one.write(step('resumeSource', 4))
  await one.source()
  assert.deepEqual([one.story, one.state.source?.guest], [['resume source'], 'running'])
})

test('a target that runs is not ended; one that arrived or is on its way is', async () => {
  const one = await begun()
  one.copies.target = 'running'
  one.write(step('endTarget', 3))
  await one.target()
  assert.deepEqual([one.story, one.state.target?.guest], [[], 'running'])
  one.copies.target = 'paused'
  one.write(step('endTarget', 4))
  await one.target()
  assert.deepEqual(
    [one.story, one.state.target],
    [['kill target'], { generation: 4, sourceSequence: 1, guest: 'none' }],
  )
})

test('a target is resumed only when its source was published as gone', async () => {
  const one = await begun()
  one.copies.target = 'paused'
  one.write(step('resumeTarget', 3))
  await one.target()
  assert.deepEqual(one.story, [])
  one.write({ ...step('resumeTarget', 4), source: { generation: 3, sequence: 2, guest: 'gone', isUnderway: false } })
  await one.target()
  assert.deepEqual([one.story, one.state.target?.guest], [['resume target'], 'running'])
})

test('a step is carried out once, and none of an older generation', async () => {
  const one = await begun()
  one.copies.target = 'paused'
  one.write(step('endTarget', 3))
  await one.target()
  one.copies.target = 'paused'
  await one.target()
  one.write(step('endTarget', 2))
  await one.target()
  assert.deepEqual(one.story, ['kill target'])
})

test('an older observation does not take the place of a newer one', async () => {
  const one = await begun()
  const stale = one.vmi
  one.write({ ...step('send', 5), target: { generation: 5, sourceSequence: 7, guest: 'running' } })
  await one.target(stale)
  assert.deepEqual(one.state.target, { generation: 5, sourceSequence: 7, guest: 'running' })
})

test('nothing is written of a migration that is over, or of another one', async () => {
  for (const change of [{ completed: true }, { migrationUid: 'other' }]) {
    const one = await begun()
    // The agent has yet to see what is written by now.
    const { vmi } = one
    one.copies.target = 'paused'
    one.write(change)
    const before = one.state
    await one.target(vmi)
    assert.deepEqual(one.state, before)
  }
})
