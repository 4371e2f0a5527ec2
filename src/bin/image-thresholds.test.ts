import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from 'commander'
import { usualThresholds } from '#core/disk/image-stock.ts'
import { addThresholdOptions, type GivenThresholds, thresholdsOf } from './image-thresholds.ts'

const parsed = (...args: string[]) =>
  thresholdsOf(addThresholdOptions(new Command()).parse(args, { from: 'user' }).opts<GivenThresholds>())

test('images are removed as kubelet does, unless options say otherwise', () => {
  assert.deepEqual(parsed(), usualThresholds)
  const args = ['--image-gc-high-threshold=100', '--image-gc-low-threshold=0', '--minimum-image-ttl-duration=1']
  assert.deepEqual(parsed(...args), { highPercent: 100, lowPercent: 0, minAgeMs: 1000 })
})

test('thresholds that cannot be kept are refused by name', () => {
  for (const [args, message] of [
    [['--image-gc-high-threshold=101'], /^--image-gc-high-threshold 101 is no whole number from 0 to 100/],
    [['--image-gc-low-threshold=x'], /^--image-gc-low-threshold x is no whole number/],
    [['--image-gc-low-threshold=85'], /^--image-gc-low-threshold 85 must be less than --image-gc-high-threshold 85/],
    [['--minimum-image-ttl-duration=-1'], /^--minimum-image-ttl-duration -1 is no number of seconds/],
  ] as const)
    assert.throws(() => parsed(...args), { kind: 'Invalid', message })
})
