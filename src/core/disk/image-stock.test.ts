import assert from 'node:assert/strict'
import { test } from 'node:test'
import { imageGarbage, type KeptImage, nodeImages, usualThresholds } from './image-stock.ts'

const now = 1_000_000_000

function image(digest: string, set: Partial<KeptImage> = {}): KeptImage {
  const times = { created: now - 900_000, lastUsed: now - 900_000 }
  return { digest, names: [`x/${digest}:1`], bytes: 10, ...times, isUsed: false, isImported: false, ...set }
}

test('a node names its images with at most five names each, the largest fifty first', () => {
  const many = Array.from({ length: 60 }, (_, i) => image(`d${String(i).padStart(2, '0')}`, { bytes: i }))
  const listed = nodeImages(many)
  assert.deepEqual(
    [listed.length, listed[0], listed.at(-1)?.sizeBytes],
    [50, { names: ['x/d59:1'], sizeBytes: 59 }, 10],
  )
  const named = nodeImages([image('a', { names: ['1', '2', '3', '4', '5', '6'] }), image('b', { names: [] })])
  assert.deepEqual(named, [{ names: ['1', '2', '3', '4', '5'], sizeBytes: 10 }])
})

const how = { ...usualThresholds, needed: new Set(['needed']), now }
const full = { capacity: 1000, available: 100 }

test('nothing is removed below the high threshold, or when that is 100', () => {
  const all = [image('a')]
  assert.equal(imageGarbage(all, { capacity: 1000, available: 160 }, how), undefined)
  assert.deepEqual(imageGarbage(all, { capacity: 1000, available: 150 }, how)?.bytes, 50)
  assert.equal(imageGarbage(all, full, { ...how, highPercent: 100 }), undefined)
  assert.equal(imageGarbage(all, { capacity: 0, available: 0 }, how), undefined)
})

test('above it what nothing uses is removed, least recently used first, down to the low one', () => {
  const all = [
    image('young', { created: now - 119_999 }),
    image('fresh', { lastUsed: now - 119_999 }),
    image('late', { lastUsed: now - 200_000 }),
    image('early', { lastUsed: now - 300_000 }),
    image('used', { isUsed: true }),
    image('mine', { isImported: true }),
    image('needed'),
  ]
  const garbage = imageGarbage(all, full, how)
  assert.deepEqual(
    [garbage?.usedPercent, garbage?.bytes, garbage?.images.map(({ digest }) => digest)],
    [90, 100, ['early', 'late']],
  )
})
