import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requireFree } from './routes.ts'

test('the network of something else on this host is refused', () => {
  const table = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0100F40A	0003	0	0	0	00000000	0	0	0
patchbay0	0000F40A	00000000	0001	0	0	0	00FEFFFF	0	0	0
eth1	0000000A	FE01A8C0	0003	0	0	0	000000FF	0	0	0
`
  const other = { bridge: 'pods' }
  requireFree({ bridge: 'patchbay0', subnet: '10.244.0.0/23' }, table, true)
  // What is wider and behind a router is a way to everything that is not ours.
  requireFree({ ...other, subnet: '10.9.0.0/24' }, table, false)
  for (const subnet of ['10.244.0.0/23', '10.244.1.0/24', '10.244.0.0/16', '10.0.0.0/8'])
    assert.throws(() => requireFree({ ...other, subnet }, table, false), {
      kind: 'Invalid',
      message: /overlaps a network that this host has behind (patchbay0|eth1); start with another --pod-cidr/,
    })
})

test("a bridge of the same name that is another's is no excuse", () => {
  const table = 'Iface Destination\npatchbay0\t0000F40A\t00000000\t0001\t0\t0\t0\t00FEFFFF\t0\t0\t0\n'
  const network = { bridge: 'patchbay0', subnet: '10.244.0.0/23' }
  assert.throws(() => requireFree(network, table, false), {
    message: /behind patchbay0; start with another --pod-cidr/,
  })
})
