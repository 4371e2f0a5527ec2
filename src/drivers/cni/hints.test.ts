import assert from 'node:assert/strict'
import { it } from 'node:test'
import { hintFor } from './hints.ts'

const unsupported = 'could not add it: operation not supported'

for (const [type, msg, config, hint] of [
  ['vlan', unsupported, {}, / \(the kernel of this host has no VLAN links; .*CONFIG_VLAN_8021Q\)$/],
  ['bridge', unsupported, { vlan: 5 }, /no VLANs on bridges; .*CONFIG_BRIDGE_VLAN_FILTERING/],
  ['vrf', unsupported, {}, /no VRFs; .*CONFIG_NET_VRF/],
  [
    'macvlan',
    'Link not found',
    { master: 'nope0' },
    /^ \(master "nope0": is there a link of this name on the host\?\)$/,
  ],
  ['bridge', unsupported, {}, /^$/],
  ['unknown', unsupported, {}, /^$/],
  ['vlan', 'something else', {}, /^$/],
] as const)
  it(`adds to a complaint what its plugin leaves out: ${type}, ${msg}, ${JSON.stringify(config)}`, () => {
    assert.match(hintFor(type, msg, config), hint)
  })
