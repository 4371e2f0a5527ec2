import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { faultOf } from '#kit/machinery/store/contract-kit.ts'
import { Freshness } from './freshness.ts'
import { Reached } from './reached.ts'
import { Turns } from './turns.ts'

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('Turns', () => {
  it('has work on one key wait for the one before, also for one that failed, and on others not', async () => {
    const turns = new Turns()
    const first = Promise.withResolvers<string>()
    const began: string[] = []
    const work = (name: string, result: Promise<string>) => () => {
      began.push(name)
      return result
    }
    const a1 = turns.run('a', work('a1', first.promise))
    const a2 = turns.run('a', work('a2', Promise.resolve('two')))
    const b1 = turns.run('b', work('b1', Promise.resolve('other')))
    assert.deepEqual(began, ['a1', 'b1'], 'the first begins within the call')
    await b1
    await settled()
    assert.deepEqual([began, turns.isBusy('a'), turns.isBusy('b')], [['a1', 'b1'], true, false])
    const done = turns.done()
    first.reject(new Error('no'))
    await assert.rejects(a1, /no/)
    assert.equal(await a2, 'two')
    await done
    await settled()
    assert.equal(turns.isBusy('a'), false)
  })
})

describe('Freshness', () => {
  it('shares a question among those who ask before it begins, and never gives an answer older than the call', async () => {
    const asked: PromiseWithResolvers<number>[] = []
    const freshness = new Freshness(() => {
      const one = Promise.withResolvers<number>()
      asked.push(one)
      return one.promise
    })
    const first = freshness.newest()
    const later = [freshness.newest(), freshness.newest()]
    assert.equal(asked.length, 1)
    asked[0]?.resolve(5)
    assert.equal(await first, 5)
    await settled()
    assert.equal(asked.length, 2)
    asked[1]?.resolve(7)
    assert.deepEqual(await Promise.all(later), [7, 7])
    const failing = freshness.newest()
    const after = freshness.newest()
    asked[2]?.reject(new Error('no answer'))
    await assert.rejects(failing, /no answer/)
    await settled()
    asked[3]?.resolve(8)
    assert.equal(await after, 8, 'a failure is nobody else’s')
  })
})

describe('Reached', () => {
  it('resolves what is reached, in any order, and gives the rest up in time', async () => {
    const reached = new Reached(3)
    await reached.until(3)
    const [five, four] = [reached.until(5), reached.until(4)]
    const never = reached.until(9, 20)
    reached.advance(5)
    await Promise.all([five, four])
    assert.equal(await faultOf(never), 'Timeout')
  })
})
