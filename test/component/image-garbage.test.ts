import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sha256Hex } from '#base/sha256.ts'
import { eventually } from '#base/wait.ts'
import type { KeptImage } from '#core/disk/image-stock.ts'
import { SimImageStock } from '#drivers/sim/image-stock.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, run, vm } from './manifests.ts'
import { withVolumes } from './volumes.ts'

function image(name: string, set: Partial<KeptImage> = {}): KeptImage {
  const reference = `registry.example/${name}:1`
  const names = [`registry.example/${name}@sha256:${sha256Hex(name)}`, reference]
  return {
    ...{ digest: sha256Hex(reference), names, bytes: 100, created: 0, lastUsed: 0, isUsed: false, isImported: false },
    ...set,
  }
}

describe('the images of a node', () => {
  const stock = new SimImageStock()
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ agent: false })
    stock.images = [image('small', { bytes: 1 }), image('large', { bytes: 300 })]
    await cluster.startNode('node1', {
      imageStock: stock,
      imageGarbageMs: 20,
      leaseTimes: { durationSeconds: 40, renewMs: 50 },
    })
  })
  after(async () => {
    const errors = cluster?.errors ?? []
    await cluster?.stop()
    assert.deepEqual(errors, [])
  })
  const left = () => stock.images.map(({ names }) => /\w+(?=:1$)/.exec(names.at(-1) ?? '')?.[0])

  it('are in its status, the largest first, and change with them', async () => {
    const { images } = (await cluster.api.get('/api/v1/nodes/node1')).status
    assert.deepEqual(images, [
      { names: image('large').names, sizeBytes: 300 },
      { names: image('small').names, sizeBytes: 1 },
    ])
    stock.images = stock.images.slice(0, 1)
    await cluster.api.until('one is gone', '/api/v1/nodes/node1', (one) => one?.status.images.length === 1)
  })

  it('that nothing uses are removed when their disk is full, down to the low threshold, oldest first', async () => {
    const { api } = cluster
    const ns = await makeNamespace(api)
    const containerDisk = { image: 'registry.example/pulled:1' }
    await run(api, ns, withVolumes(vm('a'), { name: 'data', containerDisk }))
    stock.images = [
      image('used', { isUsed: true }),
      image('pulled'),
      image('newer', { lastUsed: 2 }),
      image('older', { lastUsed: 1 }),
    ]
    stock.capacity = 450
    await eventually('the oldest is removed', async () => !left().includes('older'))
    assert.deepEqual(left(), ['used', 'pulled', 'newer'])
  })

  it('that are too few to make room are reported by an Event of the node', async () => {
    const { api } = cluster
    stock.capacity = 200
    await eventually('the Event', async () =>
      (await api.list('/api/v1/namespaces/default/events')).some(
        ({ reason, message, involvedObject }) =>
          reason === 'FreeDiskSpaceFailed' &&
          involvedObject.kind === 'Node' &&
          message.includes('Attempted to free 140 bytes, but only found 100 bytes eligible to free'),
      ),
    )
    assert.deepEqual(left(), ['used', 'pulled'])
  })
})
