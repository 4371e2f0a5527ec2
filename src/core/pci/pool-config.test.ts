import assert from 'node:assert/strict'
import { test } from 'node:test'
import { virtualFunction } from '#kit/core/pci/functions.ts'
import type { VirtualFunction } from './functions.ts'
import { isSelected, parsePools } from './pool-config.ts'

const config = (...resourceList: readonly object[]) => JSON.stringify({ resourceList })

/** The addresses of VFs 0 to 4 that a selector picks. */
function picked(selectors: unknown, change: Partial<VirtualFunction> = {}): string[] {
  const { pools, errors } = parsePools(config({ resourceName: 'n', selectors }))
  assert.deepEqual(errors, [])
  const all = [0, 1, 2, 3, 4].map((index) => virtualFunction(index, change))
  return all.filter((vf) => isSelected(vf, pools[0]?.selectors ?? [])).map(({ index }) => String(index))
}
const all = ['0', '1', '2', '3', '4']

test('a resource has the prefix that it says, or the device plugin’s', () => {
  const { pools } = parsePools(config({ resourceName: 'one' }, { resourceName: 'two', resourcePrefix: 'example.com' }))
  assert.deepEqual(
    pools.map(({ resource }) => resource),
    ['intel.com/one', 'example.com/two'],
  )
})

for (const [what, selectors, wanted, change] of [
  ['no selectors: all', [], all],
  ['one selector, not in a list', { vendors: ['8086'] }, all],
  ['another vendor', [{ vendors: ['15b3'] }], []],
  ['vendor and device: both', [{ vendors: ['8086'], devices: ['154c'] }], []],
  ['one or the other selector', [{ vendors: ['15b3'] }, { devices: ['10CA'] }], all],
  ['an empty list allows all', [{ vendors: [], devices: ['10ca'] }], all],
  ['a card by its link', [{ pfNames: ['ens1f0'] }], all],
  ['numbers of a card', [{ pfNames: ['ens1f0#0-1,4'] }], ['0', '1', '4']],
  ['numbers of another card', [{ pfNames: ['ens1f1#0-4'] }], []],
  ['a card by its address', [{ rootDevices: ['0000:01:00.0#2'] }], ['2']],
  ['addresses', [{ pciAddresses: ['0000:01:10.6'] }], ['3']],
  ['vfio-pci has what is bound to nothing', [{ drivers: ['vfio-pci'] }], all],
  ['and what is bound to it', [{ drivers: ['vfio-pci'] }], all, { driver: 'vfio-pci' }],
  ['but not what the host uses', [{ drivers: ['vfio-pci'] }], [], { driver: 'igbvf' }],
  ['a driver of the host', [{ drivers: ['igbvf'] }], all, { driver: 'igbvf' }],
  ['a card without a link', [{ pfNames: ['ens1f0'] }], [], { parent: { address: '0000:01:00.0' } }],
  ['what is off changes nothing', [{ isRdma: false, linkTypes: [] }], all],
] as const)
  test(`selectors: ${what}`, () => {
    assert.deepEqual(picked(selectors, change), wanted)
  })

for (const [text, wanted] of [
  ['no JSON', ['resourceList: is no list of resources']],
  ['{}', ['resourceList: is no list of resources']],
  ['{"resourceList":[1]}', ['resourceList[0]: is no object']],
  [
    config({ resourceName: 'a-b', resourcePrefix: 'A', deviceType: 'accelerator' }),
    [
      'resourceList[0].resourceName: must be letters, digits and underscores',
      'resourceList[0].resourcePrefix: must be a domain name',
      'resourceList[0].deviceType: only netDevice is carried out',
    ],
  ],
  [
    config({ resourceName: 'a', selectors: [{ isRdma: true, vendors: 1, pfNames: ['x#y', '#1', 'x#1#2'] }, 3] }),
    [
      'resourceList[0].selectors[0].isRdma: is not carried out; use vendors, devices, drivers, pciAddresses, pfNames, rootDevices',
      'resourceList[0].selectors[0].vendors: is no list of strings',
      'resourceList[0].selectors[0].pfNames[0]: x#y is not like ens1f0 or ens1f0#0-3,5',
      'resourceList[0].selectors[0].pfNames[1]: #1 is not like ens1f0 or ens1f0#0-3,5',
      'resourceList[0].selectors[0].pfNames[2]: x#1#2 is not like ens1f0 or ens1f0#0-3,5',
      'resourceList[0].selectors[1]: is no object',
    ],
  ],
  [
    config({ resourceName: 'a' }, { resourceName: 'a' }),
    ['resourceList: intel.com/a is there twice; join its selectors'],
  ],
] as const)
  test(`what is wrong is all said: ${text.slice(0, 60)}`, () => {
    assert.deepEqual(parsePools(text), { pools: [], errors: wanted })
  })
