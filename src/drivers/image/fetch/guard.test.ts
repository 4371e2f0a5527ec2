import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guardedLookup, isLocalAddress, refuseLocalLiteral } from './guard.ts'

const own = new Set(['203.0.113.9', '20010db8000000000000000000000009'])

test('addresses of this host and of its link are local, in every way they may be written', () => {
  const addresses = [
    '127.0.0.1',
    '127.9.9.9',
    '0.0.0.0',
    '0.1.2.3',
    '169.254.169.254',
    '224.0.0.1',
    '255.255.255.255',
    '203.0.113.9',
    '::',
    '::1',
    '0:0:0:0:0:0:0:1',
    'fe80::1',
    'fe80::1%eth0',
    'ff02::1',
    '2001:db8::9',
    '2001:0db8:0:0::0009',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::ffff:203.0.113.9',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b::169.254.169.254',
    '2002:7f00:1::',
    '2002:cb00:7109::1',
    'nonsense',
  ]
  for (const address of addresses) assert.equal(isLocalAddress(address, own), true, address)
})

test('other addresses are not, private networks among them', () => {
  const addresses = ['1.1.1.1', '10.0.0.1', '192.168.1.1', '172.16.0.1', '203.0.113.10', '2001:db8::a', 'fd00::1']
  for (const address of [...addresses, '::ffff:1.1.1.1', '64:ff9b::101:101', '2002:101:101::'])
    assert.equal(isLocalAddress(address, own), false, address)
})

test('a name that leads to this host is not connected to', async () => {
  for (const all of [true, false]) {
    const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | null>()
    guardedLookup('localhost', { all }, resolve)
    const error = await promise
    assert.match(error?.message ?? '', /Downloads from localhost \(.*\) are refused/)
  }
})

test('an address in place of a name is checked as well', () => {
  for (const host of ['127.0.0.1', '[::1]', '[::ffff:7f00:1]'])
    assert.throws(() => refuseLocalLiteral(host), { kind: 'Forbidden' }, host)
  for (const host of ['1.1.1.1', '[2001:db8::1]', 'quay.io']) refuseLocalLiteral(host)
})
