import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guestNetworkProblem } from './cidr.ts'

const pods = ['10.245.0.0/23', '10.244.0.0/24', 'nonsense']

test('a guest sees itself in a private network that is not the pod network', () => {
  for (const good of ['10.0.2.0/24', '192.168.0.0/16', '172.31.255.252/30', '10.244.1.0/24'])
    assert.equal(guestNetworkProblem(good, pods), undefined, good)
  for (const [bad, why] of [
    ['0.0.0.0/0', /private/],
    ['127.0.0.0/8', /private/],
    ['8.8.8.0/24', /private/],
    ['172.32.0.0/16', /private/],
    ['10.0.2.0/31', /at least \/30/],
    ['10.0.2.1/24', /must be an IPv4 network/],
    ['fd00::/64', /must be an IPv4 network/],
    ['10.0.2.0/33', /must be an IPv4 network/],
    ['10.0.300.0/24', /must be an IPv4 network/],
    ['nonsense', /must be an IPv4 network/],
    ['', /must be an IPv4 network/],
    ['10.244.0.0/24', /overlap the pod network/],
    ['10.245.1.0/24', /overlap the pod network 10.245/],
    ['10.0.0.0/8', /overlap the pod network/],
    ['10.244.0.128/30', /overlap the pod network/],
  ] as const)
    assert.match(guestNetworkProblem(bad, pods) ?? '', why, bad)
})
