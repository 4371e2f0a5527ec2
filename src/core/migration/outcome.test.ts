import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accidents, type Copies } from '#kit/core/migration/accidents.ts'
import { type CopyAction, type CopyObservation, nextAction, type SourceCopy, type TargetCopy } from './outcome.ts'

const cases: readonly [name: string, seen: CopyObservation, action: CopyAction][] = [
  ['nothing has happened yet', at('running', 'none'), 'start'],
  ['a paused guest is moved too', at('stopped', 'none'), 'start'],
  ['the hypervisors are at it', at('running', 'incoming', 'underway'), 'wait'],
  ['they have stopped the guest to send the rest', at('stopped', 'incoming', 'underway'), 'wait'],
  ['all is there', at('stopped', 'arrived', 'underway'), 'switchOver'],
  ['all is there, and the source was ended', at('gone', 'arrived', 'started'), 'switchOver'],
  ['all is done but the writing', at('gone', 'running', 'started'), 'switchOver'],
  ['the source went on: nobody heard of the arrival', at('running', 'arrived', 'started'), 'abort'],
  ['it did not work out', at('running', 'none', 'started'), 'abort'],
  ['it did not work out, half of it is left', at('running', 'incoming', 'started'), 'abort'],
  ['it did not work out, and the source was left standing', at('stopped', 'none', 'started'), 'resumeSource'],
  ['the same with half of it left', at('stopped', 'incoming', 'started'), 'resumeSource'],
  ['the source died first, or has just been let go', at('gone', 'incoming', 'started'), 'wait'],
  [
    'the source died, and the target never became whole',
    { ...at('gone', 'incoming', 'started'), isOverdue: true },
    'lost',
  ],
  ['both died', at('gone', 'none', 'started'), 'lost'],
  ['the target is there, and its hypervisor does not say how', at('gone', 'silent', 'started'), 'wait'],
  ['what had arrived in part is being ended, and the source runs', at('running', 'ending', 'started'), 'wait'],
  ['the same while the source still stands', at('stopped', 'ending', 'underway'), 'wait'],
  ['the guest has moved, and shuts down already', at('gone', 'ending', 'started'), 'switchOver'],
  ['the target does not answer, the source stands', at('stopped', 'silent', 'started'), 'resumeSource'],
]
for (const [name, seen, action] of cases) test(`outcome: ${name}`, () => assert.equal(nextAction(seen), action))

function at(source: SourceCopy, target: TargetCopy, how: 'new' | 'started' | 'underway' = 'new'): CopyObservation {
  return { source, target, isStarted: how !== 'new', isUnderway: how === 'underway', isOverdue: false }
}

/** A guest that moves, its two hypervisors, and the agent between any two of its steps. */
type World = Copies &
  Readonly<{
    isStarted: boolean
    /** What is written down in the end. */
    written: 'nothing' | 'completed' | 'failed' | 'lost'
    /** What the agent has seen so far in this pass, and what it is about to do. */
    sawTarget?: TargetCopy
    todo?: readonly ('killSource' | 'killTarget' | 'runSource' | 'runTarget' | World['written'])[]
  }>

/** What the agent does next; it may also die and forget what it saw. */
function agent(world: World): World[] {
  const { sawTarget, todo, ...rest } = world
  const forgotten: World[] = sawTarget !== undefined || todo ? [rest] : []
  if (world.written !== 'nothing') return forgotten
  if (todo) {
    const [step, ...later] = todo
    // A hypervisor that does not answer lets nobody run: the pass ends with a fault.
    if (step === 'runTarget' && !['arrived', 'running', 'ending'].includes(rest.target)) return [rest]
    return [...forgotten, { ...rest, ...done(rest, step!), ...(later.length && { todo: later }) }]
  }
  if (sawTarget === undefined) return [{ ...rest, sawTarget: rest.target }]
  const { source, job, isStarted } = rest
  // Where the source is gone, the target is looked at once more: it may have arrived in between.
  const target = source === 'gone' ? rest.target : sawTarget
  const move = nextAction({ source, target, isUnderway: job !== 'none', isStarted, isOverdue: false })
  const steps: Record<CopyAction, World['todo']> = {
    start: undefined,
    wait: undefined,
    switchOver: ['killSource', 'runTarget', 'completed'],
    resumeSource: ['killTarget', 'runSource', 'failed'],
    abort: ['killTarget', 'failed'],
    lost: ['killTarget', 'lost'],
  }
  if (move === 'start')
    return [...forgotten, { ...rest, isStarted: true, job: 'sending' }, { ...rest, isStarted: true }]
  if (move === 'switchOver' && source !== 'gone')
    assert.notEqual(sawTarget, 'ending', `the source is ended for a target that ends: ${JSON.stringify(world)}`)
  if (move === 'lost')
    assert.ok(!['arrived', 'running'].includes(rest.target), `a guest that arrived is lost: ${JSON.stringify(world)}`)
  const planned = steps[move]
  return [...forgotten, planned ? { ...rest, todo: planned } : rest]
}

function done(world: World, step: NonNullable<World['todo']>[number]): Partial<World> {
  switch (step) {
    case 'killSource':
      return { source: 'gone', job: 'none' }
    case 'killTarget':
      return {
        target: 'none',
        ...(world.job !== 'none' && { job: 'none', source: world.source === 'gone' ? 'gone' : 'running' }),
      }
    case 'runSource':
      return { source: world.source === 'stopped' ? 'running' : world.source }
    case 'runTarget':
      return { target: world.target === 'ending' ? 'ending' : 'running' }
    default:
      return { written: step }
  }
}

test('never do two copies run, whatever dies between any two steps; every world can come to its end', () => {
  const first: World = { source: 'running', target: 'none', job: 'none', isStarted: false, written: 'nothing' }
  const seen = new Map<string, World[]>()
  const queue = [first]
  for (let world = queue.pop(); world; world = queue.pop()) {
    const key = JSON.stringify(world)
    if (seen.has(key)) continue
    assert.ok(!(world.source === 'running' && world.target === 'running'), `two copies run: ${key}`)
    if (world.written === 'completed') assert.equal(world.source, 'gone', key)
    if (world.written === 'failed') assert.notEqual(world.target, 'running', key)
    const next = [...agent(world), ...accidents(world)]
    seen.set(key, next)
    queue.push(...next)
  }
  assert.ok(seen.size > 100, `only ${seen.size} worlds`)
  // From everywhere there is a way to an end: backwards from the ends, everything is reached.
  const ended = new Set(
    [...seen].filter(([, next]) => next.some(({ written }) => written !== 'nothing')).map(([key]) => key),
  )
  for (let size = -1; size !== ended.size; ) {
    size = ended.size
    for (const [key, next] of seen) if (next.some((one) => ended.has(JSON.stringify(one)))) ended.add(key)
  }
  const stuck = [...seen.keys()].filter((key) => !ended.has(key) && JSON.parse(key).written === 'nothing')
  assert.deepEqual(stuck, [])
})
