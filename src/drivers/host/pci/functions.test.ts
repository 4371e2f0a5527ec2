import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, test } from 'node:test'
import { igb, writeSysfs } from '#kit/drivers/pci/sysfs.ts'
import { listFunctions } from './functions.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync('/tmp/pb-sysfs-')
})
afterEach(() => rmSync(folder, { recursive: true }))

test('VFs are found by their cards, with group, driver and NUMA node', () => {
  const groups = { 10: ['0000:01:10.0', '0000:00:04.0'], 11: ['0000:01:10.2', '0000:01:00.0'] }
  const parent = { address: '0000:01:00.0', link: 'ens1f0' }
  assert.deepEqual(listFunctions(writeSysfs(folder, igb, groups)), [
    {
      ...{ address: '0000:01:10.0', vendor: '8086', device: '10ca', parent, index: 0 },
      // The bridge in front of it does not count.
      group: { id: 10, others: [] },
    },
    {
      ...{ address: '0000:01:10.2', vendor: '8086', device: '10ca', parent, index: 1 },
      ...{ driver: 'vfio-pci', numaNode: 1 },
      group: { id: 11, others: ['0000:01:00.0'] },
    },
  ])
})

test('a host without IOMMU has VFs in no group, and a VF that has just gone is left out', () => {
  const { '0000:01:10.2': _, ...rest } = igb
  const bare = { ...rest, '0000:01:10.0': { files: igb['0000:01:10.0']?.files ?? {} } }
  assert.deepEqual(
    listFunctions(writeSysfs(folder, bare, {})).map(({ address, group }) => [address, group]),
    [['0000:01:10.0', undefined]],
  )
})

test('a host without PCI has none, and nothing is thrown', () => {
  assert.deepEqual(listFunctions(`${folder}/nowhere`), [])
})
