import assert from 'node:assert/strict'
import type { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { nodeAddresses, nodeInfo } from './node-info.ts'

const files: Readonly<Record<string, string>> = {
  '/etc/machine-id': 'e5b1',
  '/sys/class/dmi/id/product_uuid': '8a2c',
  '/proc/sys/kernel/random/boot_id': 'c0de',
  '/etc/os-release': 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian',
}

test('every field of nodeInfo is there, whichever files the host has', async () => {
  const info = await nodeInfo('v1', 'libvirt://9.0.0', async (path) => files[path] ?? '')
  assert.equal(info.osImage, 'Debian GNU/Linux 12 (bookworm)')
  assert.deepEqual([info.machineID, info.systemUUID, info.bootID], ['e5b1', '8a2c', 'c0de'])
  const bare = await nodeInfo('v1', 'libvirt://', async (path) => (path === '/etc/machine-id' ? 'e5b1' : ''))
  assert.deepEqual([bare.systemUUID, bare.bootID, bare.osImage], ['e5b1', '', ''])
  assert.deepEqual(Object.keys(bare).toSorted(), Object.keys(info).toSorted())
  assert.equal(
    Object.values(bare).every((value) => typeof value === 'string'),
    true,
  )
})

test("a node's address is that of a link of its own, not of a network of guests", () => {
  const of = (address: string, family: 'IPv4' | 'IPv6', internal = false) => ({ address, family, internal })
  const links = {
    lo: [of('127.0.0.1', 'IPv4', true)],
    patchbay0: [of('10.244.0.1', 'IPv4')],
    eth0: [of('fe80::1', 'IPv6'), of('192.0.2.7', 'IPv4')],
  } as unknown as ReturnType<typeof networkInterfaces>
  const address = (bridges: string[], from = links) => nodeAddresses('n1', new Set(bridges), from)
  assert.deepEqual(address(['patchbay0']), [
    { type: 'InternalIP', address: '192.0.2.7' },
    { type: 'Hostname', address: 'n1' },
  ])
  assert.equal(address(['patchbay0', 'eth0'])[0]?.address, '127.0.0.1')
})
