import assert from 'node:assert/strict'
import { test } from 'node:test'
import type {
  MigrationState,
  MigrationStepName,
  SourceObservation,
  TargetObservation,
} from '#apis/kubevirt/migration.ts'
import { accidents, type Copies } from '#kit/core/migration/accidents.ts'
import { mayCarryOut, nextDirective, sideOf } from './directive.ts'
import { nextAction, type TargetCopy } from './outcome.ts'

/** A guest that moves, its two hypervisors, the agent of either, and the controller. */
type World = Copies &
  Readonly<{
    /** What is written: the last step, what the agents published, and the end. */
    step?: Readonly<{ generation: number; do: MigrationStepName }>
    seenSource?: SourceObservation
    seenTarget?: TargetObservation
    written: 'nothing' | 'completed' | 'failed'
    /** What the source's agent has decided in the switch-over, and has yet to do. */
    todo?: readonly ('killSource' | 'runTarget' | 'publish')[]
    /** It has seen the target so, and will look at the source next. */
    sawTarget?: TargetCopy
  }>

const stateOf = ({ step, seenSource, seenTarget }: World): MigrationState => ({
  ...(step && { step, startTimestamp: 'then' }),
  ...(seenSource && { source: seenSource }),
  ...(seenTarget && { target: seenTarget }),
})

/** What the source's agent publishes of what it sees. */
function publishedSource(world: World): World {
  const { seenSource, step, source: guest, job } = world
  const generation = step?.generation ?? 0
  const fresh = { generation, guest, isUnderway: job !== 'none' }
  const { sequence = 0, ...old } = seenSource ?? {}
  if (JSON.stringify({ ...fresh, isPaused: false }) === JSON.stringify({ ...old, isPaused: false })) return world
  const same = seenSource && seenSource.generation === generation
  if (same && seenSource.guest === guest && seenSource.isUnderway === fresh.isUnderway) return world
  return { ...world, seenSource: { ...fresh, sequence: sequence + 1 } }
}

function publishedTarget(world: World): World {
  const { seenTarget, seenSource, step, target: guest } = world
  const fresh = { generation: step?.generation ?? 0, sourceSequence: seenSource?.sequence ?? 0, guest }
  return JSON.stringify(fresh) === JSON.stringify(seenTarget) ? world : { ...world, seenTarget: fresh }
}

function sourceAgent(world: World): World[] {
  const { todo, sawTarget, ...rest } = world
  const died: World[] = todo || sawTarget !== undefined ? [rest] : []
  if (world.written !== 'nothing') return died
  const generation = world.step?.generation ?? 0
  const isNew = (world.seenSource?.generation ?? -1) < generation
  const step = world.step?.do
  if (todo) {
    const [first, ...later] = todo
    if (first === 'runTarget' && !['arrived', 'running', 'ending'].includes(rest.target)) return [rest]
    const after: Partial<World> =
      first === 'killSource'
        ? { source: 'gone', job: 'none' }
        : first === 'runTarget'
          ? { target: rest.target === 'ending' ? 'ending' : 'running' }
          : publishedTarget(publishedSource(rest))
    return [...died, { ...rest, ...after, ...(later.length && { todo: later }) }]
  }
  if (isNew && step === 'send') {
    // Published first, so that it is never begun twice; it may die before it begins.
    const { sequence = 0 } = rest.seenSource ?? {}
    const claimed = {
      ...rest,
      seenSource: { generation, sequence: sequence + 1, guest: rest.source, isUnderway: true },
    }
    return [claimed, rest.source === 'gone' ? claimed : { ...claimed, job: 'sending' }]
  }
  if (isNew && step && sideOf[step] === 'source') {
    const isAllowed = mayCarryOut(step, { source: rest.source })
    const after: Partial<World> =
      !isAllowed || step === 'recall'
        ? {}
        : step === 'endSource'
          ? { source: 'gone', job: 'none' }
          : { source: rest.source === 'stopped' ? 'running' : rest.source }
    const acted = { ...rest, ...after }
    // It may die before it has published what it did, and does it again.
    return [acted, publishedSource(acted)]
  }
  if (isNew || (step !== 'send' && step !== 'recall')) return [publishedSource(rest)]
  // While the guest is sent, both are looked at, the target first.
  if (sawTarget === undefined) return [publishedSource(rest), { ...rest, sawTarget: rest.target }]
  const target = rest.source === 'gone' ? rest.target : sawTarget
  const move = nextAction({
    source: rest.source,
    target,
    isUnderway: rest.job !== 'none',
    isStarted: true,
    isOverdue: false,
  })
  return move === 'switchOver' ? [...died, { ...rest, todo: ['killSource', 'runTarget', 'publish'] }] : died
}

function targetAgent(world: World): World[] {
  if (world.written !== 'nothing') return []
  const { step } = world
  const isNew = (world.seenTarget?.generation ?? -1) < (step?.generation ?? 0)
  if (!isNew || !step || sideOf[step.do] !== 'target') return [publishedTarget(world)]
  if (!mayCarryOut(step.do, { target: world.target })) return [publishedTarget(world)]
  const ended: Partial<World> = {
    target: 'none',
    ...(world.job !== 'none' && { job: 'none', source: world.source === 'gone' ? 'gone' : 'running' }),
  }
  const resumed: Partial<World> = ['arrived', 'running'].includes(world.target) ? { target: 'running' } : {}
  const acted = { ...world, ...(step.do === 'endTarget' ? ended : resumed) }
  return [acted, publishedTarget(acted)]
}

/** Steps that the exploration goes to, which is far beyond what a migration takes. */
const mostSteps = 6

function controller(world: World): World[] {
  if (world.written !== 'nothing') return []
  return [false, true].flatMap((isUnwanted): World[] => {
    const directive = nextDirective(stateOf(world), { isUnwanted, isOverdue: false })
    const generation = (world.step?.generation ?? 0) + 1
    if (directive.do === 'step')
      return generation > mostSteps ? [] : [{ ...world, step: { generation, do: directive.step } }]
    if (directive.do === 'complete') return [{ ...world, written: 'completed' }]
    if (directive.do === 'fail') {
      assert.ok(world.target !== 'running', `a guest that runs at the target is given up: ${JSON.stringify(world)}`)
      return [{ ...world, written: 'failed' }]
    }
    return []
  })
}

test('never do two copies run, though agents and controller know of each other only what is written', () => {
  const first: World = { source: 'running', target: 'none', job: 'none', written: 'nothing' }
  const seen = new Map<string, string[]>()
  const queue = [first]
  // Sequences grow without end where nothing else does: only how they compare counts.
  const plain = ({ seenSource, seenTarget, ...rest }: World): World => ({
    ...rest,
    ...(seenSource && { seenSource: { ...seenSource, sequence: 1 } }),
    ...(seenTarget && {
      seenTarget: { ...seenTarget, sourceSequence: seenTarget.sourceSequence >= (seenSource?.sequence ?? 0) ? 1 : 0 },
    }),
  })
  for (let world = queue.pop(); world; world = queue.pop()) {
    const key = JSON.stringify(world)
    if (seen.has(key)) continue
    assert.ok(!(world.source === 'running' && world.target === 'running'), `two copies run: ${key}`)
    if (world.written === 'completed') assert.equal(world.source, 'gone', key)
    const next = [...sourceAgent(world), ...targetAgent(world), ...controller(world), ...accidents(world)].map(plain)
    seen.set(
      key,
      next.map((one) => JSON.stringify(one)),
    )
    queue.push(...next)
  }
  assert.ok(seen.size > 1000, `only ${seen.size} worlds`)
  const ended = new Set([...seen.keys()].filter((key) => JSON.parse(key).written !== 'nothing'))
  for (let size = -1; size !== ended.size; ) {
    size = ended.size
    for (const [key, next] of seen) if (next.some((one) => ended.has(one))) ended.add(key)
  }
  const last = (key: string) => (JSON.parse(key).step?.generation ?? 0) >= mostSteps - 1
  assert.deepEqual(
    [...seen.keys()].filter((key) => !ended.has(key) && !last(key)),
    [],
  )
})
