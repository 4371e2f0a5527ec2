import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Channel, deepPath, findChannel } from './channels.ts'
import { parseResourcePath } from './path.ts'

const at = { group: 'sub.example', version: 'v1', plural: 'machines' }
const run = async () => {
  throw new Error('not opened here')
}
const channels: readonly Channel[] = [
  { at, subresource: 'screen', kind: 'Machine', protocol: 'p', run },
  { at, subresource: 'screen/picture', kind: 'Machine', protocol: 'p', run },
  { at, subresource: 'port', kind: 'Machine', protocol: 'p', maxArgs: 2, run },
]
const found = (rest: string, group = 'sub.example') => {
  const text = `/apis/${group}/v1/namespaces/ns/machines/x/${rest}`
  const path = parseResourcePath(text) ?? deepPath(channels, text)
  return path && { subresource: path.subresource, args: path.args ?? [], is: findChannel(channels, path)?.subresource }
}

test('channels are found by subresources of one or more segments, and have arguments behind them', () => {
  assert.deepEqual(found('screen'), { subresource: 'screen', args: [], is: 'screen' })
  assert.deepEqual(found('screen/picture'), { subresource: 'screen/picture', args: [], is: 'screen/picture' })
  assert.deepEqual(found('port/22'), { subresource: 'port', args: ['22'], is: 'port' })
  assert.deepEqual(found('port/22/tcp'), { subresource: 'port', args: ['22', 'tcp'], is: 'port' })
  assert.deepEqual(found('port/a%2Fb'), { subresource: 'port', args: ['a/b'], is: 'port' })
  for (const none of ['port/22/tcp/x', 'screen/other', 'screen/picture/x', 'other/x'])
    assert.equal(found(none), undefined)
  assert.equal(found('port/22', 'other.example'), undefined)
  assert.equal(deepPath(channels, '/apis/sub.example/v1/machines/x/port/22/tcp'), undefined)
})
