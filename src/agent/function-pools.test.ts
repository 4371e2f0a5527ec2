import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConfigMap } from '#apis/core/configmap.ts'
import { silent } from '#base/log.ts'
import type { VirtualFunction } from '#core/pci/functions.ts'
import { virtualFunction } from '#kit/core/pci/functions.ts'
import type { Client } from '#machinery/client/client.ts'
import { FunctionPools } from './function-pools.ts'

const config = (...resourceList: readonly object[]) => JSON.stringify({ resourceList })

/** A node with two VFs, and what its server has and gets. */
function node(functions: readonly VirtualFunction[] = [0, 1].map((index) => virtualFunction(index))) {
  const seen = {
    functions,
    taken: new Map<string, string>(),
    text: undefined as string | undefined,
    isGone: false,
    reads: 0,
    events: [] as string[],
  }
  const client = {
    get: async () => {
      seen.reads++
      if (seen.isGone) throw new Error('no server')
      return seen.text === undefined ? undefined : ({ data: { 'config.json': seen.text } } as unknown as ConfigMap)
    },
  } as unknown as Client
  const pools = new FunctionPools({
    ...{ client, nodeName: 'n1', log: silent },
    functions: () => seen.functions,
    taken: async () => seen.taken,
    recorder: (_, __, reason, message) => void seen.events.push(`${reason}: ${message}`),
  })
  return { seen, pools }
}

test('a node has as many of a pool as its host has VFs of it, and no more when these or the pool are gone', async () => {
  const { seen, pools } = node()
  assert.deepEqual(await pools.amounts(), { capacity: {}, allocatable: {} })
  seen.text = config({ resourceName: 'net' })
  assert.deepEqual((await pools.amounts()).allocatable, { 'intel.com/net': '2' })
  seen.functions = seen.functions.slice(1)
  assert.deepEqual((await pools.amounts()).allocatable, { 'intel.com/net': '1' })
  seen.text = undefined
  assert.deepEqual((await pools.amounts()).capacity, {})
  assert.deepEqual(seen.events, [])
})

test('a host without VFs reads nothing and says nothing', async () => {
  const { seen, pools } = node([])
  seen.text = 'no JSON'
  assert.deepEqual(await pools.amounts(), { capacity: {}, allocatable: {} })
  assert.deepEqual([seen.reads, seen.events], [0, []])
})

test('without an answer of the server it has what it had', async () => {
  const { seen, pools } = node()
  seen.text = config({ resourceName: 'net' })
  const before = await pools.amounts()
  seen.isGone = true
  assert.deepEqual(await pools.amounts(), before)
})

test('each problem is an Event once, and again when it has come back', async () => {
  const { group: _, ...bare } = virtualFunction(0)
  const { seen, pools } = node([bare])
  const wrong = config({ resourceName: 'a-b' })
  for (const text of [wrong, wrong, config({ resourceName: 'net' }), wrong]) {
    seen.text = text
    await pools.amounts()
  }
  const invalid =
    'VirtualFunctionsUnusable: ConfigMap kube-system/sriovdp-config, config.json: resourceList[0].resourceName: must be letters, digits and underscores'
  const unusable =
    'VirtualFunctionsUnusable: 0000:01:10.0 is in no IOMMU group: switch the IOMMU on in the firmware and for the kernel (intel_iommu=on)'
  assert.deepEqual(seen.events, [invalid, unusable, invalid])
})
