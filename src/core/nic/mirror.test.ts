import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { ObjectMeta } from '#apis/meta/object.ts'
import { mirrorsOf } from '../sandbox/mirrors.ts'
import { mirrorAnnotation, sourceOf, sourcesIn, withSources } from './mirror.ts'

const bridge = (over: object = {}) => JSON.stringify({ type: 'bridge', bridge: 'br-blue', ...over })

for (const [what, config, expected] of [
  ['a bridge', bridge(), { bridge: 'br-blue' }],
  ['one with the name that its plugin gives', '{"type":"bridge"}', { bridge: 'cni0' }],
  ['one in a list', `{"plugins":[${bridge()},{"type":"tuning"}]}`, { bridge: 'br-blue' }],
  ['no definition', undefined, /ns\/blue does not exist or has no config/],
  ['no JSON', 'x', /ns\/blue does not exist or has no config/],
  ['another plugin', '{"plugins":[{"type":"ptp"},{}]}', /made by "ptp", null; only networks of the plugin "bridge"/],
  ['a name that no link has', bridge({ bridge: 'a b' }), /a bridge that no link can be called/],
  ['a VLAN of a bridge', bridge({ vlan: 7 }), /a VLAN of the bridge br-blue, which others are on too/],
  ['VLANs of a bridge', bridge({ vlanTrunk: [{ id: 7 }] }), /a VLAN of the bridge br-blue/],
] as const)
  test(`the source of copies: ${what}`, () => {
    const source = sourceOf('ns/blue', config)
    if (expected instanceof RegExp) assert.match('problem' in source ? source.problem : '', expected)
    else assert.deepEqual(source, expected)
  })

test('sources are read with their namespaces, each once, and written as they were named', () => {
  const metadata: ObjectMeta = { name: 'a', namespace: 'ns' }
  const first = withSources(metadata, 'mon', ['blue', 'far/red', 'ns/blue'])
  assert.deepEqual(sourcesIn(first), new Map([['mon', ['ns/blue', 'far/red']]]))
  const both = withSources(first, 'other', ['red'])
  assert.deepEqual(both.annotations, { [mirrorAnnotation]: '{"mon":["blue","far/red","ns/blue"],"other":["red"]}' })
  const none = withSources(withSources(both, 'mon', []), 'other', [])
  assert.deepEqual(none, { ...metadata, annotations: {} })
  assert.deepEqual(sourcesIn(none), new Map())
})

test('an instance has the mirrors of interfaces that it has; what cannot be copied is told by interface', () => {
  const vmi = {
    metadata: withSources(withSources({ name: 'a', namespace: 'ns' }, 'mon', ['blue', 'missing']), 'parked', ['blue']),
    spec: { domain: { devices: { interfaces: [{ name: 'mon', bridge: {} }] } } },
  } as unknown as VirtualMachineInstance
  const { mirrors, unmirrored } = mirrorsOf(vmi, { configOf: (name) => (name === 'ns/blue' ? bridge() : undefined) })
  assert.deepEqual(mirrors, [{ nic: 'mon', network: 'ns/blue', bridge: 'br-blue' }])
  assert.match(unmirrored.get('mon')?.message ?? '', /ns\/missing does not exist/)
  assert.equal(unmirrored.size, 1)
})
