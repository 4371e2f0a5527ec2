import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTime } from './time.ts'

const times = [
  '2026-02-28T23:59:59Z',
  '2024-02-29T00:00:00Z',
  '2000-02-29T00:00:00.5Z',
  '2026-01-31T00:00:00.000001+14:00',
  '0001-01-01T00:00:00-08:00',
]
for (const text of times) test(`${text} is a time`, () => assert.ok(isTime(text)))

const none = [
  '',
  'yesterday',
  '2026-02-29T00:00:00Z',
  '1900-02-29T00:00:00Z',
  '2026-04-31T00:00:00Z',
  '2026-00-01T00:00:00Z',
  '2026-13-01T00:00:00Z',
  '2026-01-00T00:00:00Z',
  '2026-01-01T24:00:00Z',
  '2026-01-01T00:60:00Z',
  '2026-01-01T00:00:60Z',
  '2026-01-01 00:00:00Z',
  '2026-01-01t00:00:00z',
  '2026-01-01T00:00:00',
  '2026-01-01',
  '26-01-01T00:00:00Z',
  '2026-01-01T00:00:00+0100',
]
for (const text of none) test(`"${text}" is no time`, () => assert.ok(!isTime(text)))
