import assert from 'node:assert/strict'
import { test } from 'node:test'
import { plainArguments } from './arguments.ts'

test('flags are understood as virtctl and kubectl write them', () => {
  const cases: readonly [string, string][] = [
    ['stop a --force=true --grace-period=0', 'stop a --force --grace-period=0'],
    ['start --paused=false --dry-run=true a', 'start --dry-run a'],
    ['link down --wait a red', 'link down --wait=60s a red'],
    ['link down a red --wait=5s', 'link down a red --wait=5s'],
    ['start --force=maybe', 'start --force=maybe'],
    ['start -- --force=true --wait', 'start -- --force=true --wait'],
  ]
  for (const [given, wanted] of cases) assert.equal(plainArguments(given.split(' ')).join(' '), wanted)
})
