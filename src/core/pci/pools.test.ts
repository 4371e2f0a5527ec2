import assert from 'node:assert/strict'
import { test } from 'node:test'
import { virtualFunction } from '#kit/core/pci/functions.ts'
import { parsePools } from './pool-config.ts'
import { poolAmounts, poolsOf } from './pools.ts'

const config = (...resourceList: readonly object[]) => parsePools(JSON.stringify({ resourceList })).pools

const first = { resourceName: 'first', selectors: { pfNames: ['ens1f0#0-1'] } }
const rest = { resourceName: 'rest' }

test('a VF is in the first pool that selects it', () => {
  const pools = poolsOf(
    config(first, rest),
    [2, 1, 0].map((index) => virtualFunction(index)),
  )
  assert.deepEqual(
    pools.map(({ resource, functions }) => [resource, functions.map(({ index }) => index)]),
    [
      ['intel.com/first', [0, 1]],
      ['intel.com/rest', [2]],
    ],
  )
})

test('one that a guest has stays in the pool it was taken from, whatever the selectors say now', () => {
  const vfs = [0, 1].map((index) => virtualFunction(index, { driver: 'vfio-pci' }))
  const host = { resourceName: 'host', selectors: { drivers: ['igbvf'] } }
  const taken = new Map([['0000:01:10.0', 'intel.com/host']])
  const counts = poolsOf(config(host), vfs, taken).map(({ functions }) => functions.length)
  assert.deepEqual(counts, [1])
})

test('without an IOMMU there is nothing to give, and it is said why', () => {
  const { group: _, ...bare } = virtualFunction(0)
  const shared = virtualFunction(1, { group: { id: 7, others: ['0000:01:00.1'] } })
  const pools = poolsOf(config(rest), [bare, shared, virtualFunction(2)])
  assert.deepEqual(pools[0]?.problems, [
    '0000:01:10.0 is in no IOMMU group: switch the IOMMU on in the firmware and for the kernel (intel_iommu=on)',
    '0000:01:10.2 shares IOMMU group 7 with 0000:01:00.1, which would go to the guest as well: use a slot whose devices are isolated (PCIe ACS)',
  ])
  assert.deepEqual(poolAmounts(pools), {
    capacity: { 'intel.com/rest': '3' },
    allocatable: { 'intel.com/rest': '1' },
  })
})

test('a pool of which this host has nothing is there, and empty', () => {
  assert.deepEqual(poolAmounts(poolsOf(config(rest), [])), {
    capacity: { 'intel.com/rest': '0' },
    allocatable: { 'intel.com/rest': '0' },
  })
})
