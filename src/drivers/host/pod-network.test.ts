import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bridgesOf } from './bridges.ts'
import { defaultPodNetwork, formerPodNetwork, hostTable, outboundNat, podNetworkConfig, podsIn } from './pod-network.ts'

for (const [subnet, pods] of [
  ['10.244.0.0/23', 509],
  ['10.244.0.0/24', 253],
  ['10.0.0.0/30', 1],
] as const)
  test(`${subnet} has addresses for ${pods} pods`, () => assert.equal(podsIn(subnet), pods))

test('two pod networks on one host have nothing in common that one of them could take away', () => {
  const other = { bridge: 'pb2', subnet: '10.250.0.0/24' }
  assert.notEqual(hostTable(other), hostTable(defaultPodNetwork))
  assert.equal(hostTable(formerPodNetwork), hostTable(defaultPodNetwork), 'a data directory keeps its table')
  assert.ok(!outboundNat(other).includes('patchbay0') && !outboundNat(other).includes('10.244'))
})

test('what leaves the pod network is translated, and what stays on its bridge is not; all at once, again and again', () => {
  const script = outboundNat({ bridge: 'pb2', subnet: '10.250.0.0/24' })
  assert.match(script, /^ {4}ip saddr 10\.250\.0\.0\/24 oifname != "pb2" masquerade$/m)
  // A table has to be there to be deleted.
  assert.match(script, /^table ip patchbay-pb2\ndelete table ip patchbay-pb2\ntable ip patchbay-pb2 \{/)
})

test('its configuration is one of a bridge that is the way out, without rules of its own', () => {
  const config = JSON.parse(podNetworkConfig({ bridge: 'pb2', subnet: '10.250.0.0/24' }))
  assert.deepEqual(bridgesOf(config), ['pb2'])
  const { isGateway, ipMasq, ipam } = config
  assert.deepEqual(
    [isGateway, ipMasq, ipam.ranges, ipam.routes],
    [true, false, [[{ subnet: '10.250.0.0/24' }]], [{ dst: '0.0.0.0/0' }]],
  )
})
