import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Line, nadsPath, type Watching } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, nad } from './manifests.ts'

const brief = (line: Line | undefined) => line && `${line.type} ${line.object.metadata.name}`

/** The next lines, as text. */
async function read(watch: Watching, count: number): Promise<(string | undefined)[]> {
  const lines: (string | undefined)[] = []
  while (lines.length < count) lines.push(brief(await watch.next()))
  return lines
}

for (const protocol of ['HTTP/1.1', 'HTTP/2'])
  describe(`a watch over ${protocol}`, () => {
    let cluster: Cluster
    before(async () => {
      cluster = await startCluster()
    })
    after(() => cluster?.stop())

    const open = (path: string) => (protocol === 'HTTP/2' ? cluster.api.watch2(path) : cluster.api.watch(path))
    const label = (ns: string, name: string, x: string) =>
      cluster.api.patch(nadsPath(ns, name), { metadata: { labels: { x } } })

    it('begins with what is there and goes on with every change, in order', async () => {
      const ns = await makeNamespace(cluster.api, ['a', 'b'])
      const watch = await open(`${nadsPath(ns)}?watch=true`)
      assert.equal(watch.code, 200)
      assert.deepEqual(await read(watch, 2), ['ADDED a', 'ADDED b'])
      await label(ns, 'a', '1')
      await cluster.api.create(nadsPath(ns), nad('c'))
      await cluster.api.delete(nadsPath(ns, 'b'))
      assert.deepEqual(await read(watch, 3), ['MODIFIED a', 'ADDED c', 'DELETED b'])
      watch.close()
    })

    it('goes on from a resourceVersion without missing or repeating anything', async () => {
      const ns = await makeNamespace(cluster.api, ['a'])
      const { metadata } = await cluster.api.get(nadsPath(ns))
      for (const x of ['1', '2', '3']) await label(ns, 'a', x)
      const first = await open(`${nadsPath(ns)}?watch=1&resourceVersion=${metadata.resourceVersion}`)
      const line = await first.next()
      assert.equal(line?.object.metadata.labels.x, '1')
      first.close()
      const second = await open(`${nadsPath(ns)}?watch=1&resourceVersion=${line?.object.metadata.resourceVersion}`)
      assert.deepEqual(
        [(await second.next())?.object.metadata.labels.x, (await second.next())?.object.metadata.labels.x],
        ['2', '3'],
      )
      await label(ns, 'a', '4')
      assert.equal((await second.next())?.object.metadata.labels.x, '4')
      second.close()
    })

    it('of selected objects tells those that enter as ADDED and those that leave as DELETED', async () => {
      const ns = await makeNamespace(cluster.api, ['a', 'b'])
      const watch = await open(`${nadsPath(ns)}?watch=1&labelSelector=x%3D1`)
      await label(ns, 'b', '2')
      await label(ns, 'a', '1')
      await label(ns, 'a', '2')
      assert.deepEqual(await read(watch, 2), ['ADDED a', 'DELETED a'])
      const one = await open(`${nadsPath(ns, 'b')}?watch=1`)
      assert.deepEqual(await read(one, 1), ['ADDED b'])
      await label(ns, 'a', '1')
      await label(ns, 'b', '1')
      assert.deepEqual(await read(one, 1), ['MODIFIED b'])
      watch.close()
      one.close()
    })

    it('from what has been compacted away is told 410 in one line and ends', async () => {
      const ns = await makeNamespace(cluster.api, ['a'])
      const { metadata } = await cluster.api.get(nadsPath(ns))
      await label(ns, 'a', '1')
      await cluster.store.compact(cluster.store.revision)
      const watch = await open(`${nadsPath(ns)}?watch=1&resourceVersion=${metadata.resourceVersion}`)
      const line = await watch.next()
      assert.equal(line?.type, 'ERROR')
      assert.deepEqual([line.object.kind, line.object.code, line.object.reason], ['Status', 410, 'Expired'])
      assert.equal(await watch.next(), undefined)
      watch.close()
    })

    it('ends by itself after timeoutSeconds', async () => {
      const ns = await makeNamespace(cluster.api, ['a'])
      const watch = await open(`${nadsPath(ns)}?watch=1&timeoutSeconds=1`)
      assert.deepEqual(await read(watch, 2), ['ADDED a', undefined])
      watch.close()
    })

    it('lives through a timeoutSeconds that no timer can count', async () => {
      const ns = await makeNamespace(cluster.api, ['a'])
      const watch = await open(`${nadsPath(ns)}?watch=1&timeoutSeconds=99999999999`)
      assert.deepEqual(await read(watch, 1), ['ADDED a'])
      await label(ns, 'a', '1')
      assert.deepEqual(await read(watch, 1), ['MODIFIED a'])
      watch.close()
    })

    it('marks the end of what was there first when asked to', async () => {
      const ns = await makeNamespace(cluster.api, ['a'])
      const watch = await open(
        `${nadsPath(ns)}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan`,
      )
      assert.deepEqual(await read(watch, 1), ['ADDED a'])
      const bookmark = await watch.next()
      assert.equal(bookmark?.type, 'BOOKMARK')
      assert.equal(bookmark.object.metadata.annotations['k8s.io/initial-events-end'], 'true')
      watch.close()
    })

    it('that cannot be understood is refused before it begins', async () => {
      for (const query of [
        'resourceVersion=x',
        'timeoutSeconds=soon',
        'labelSelector=%28',
        'fieldSelector=metadata.nope%3Dx',
      ]) {
        const watch = await open(`${nadsPath('default')}?watch=1&${query}`)
        assert.equal(watch.code, 400, query)
        watch.close()
      }
    })

    it('whose reader goes away leaves nothing behind that hurts the others', async () => {
      const ns = await makeNamespace(cluster.api, ['a'])
      const watches = await Promise.all(Array.from({ length: 20 }, () => open(`${nadsPath(ns)}?watch=1`)))
      for (const watch of watches.slice(1)) watch.close()
      for (const x of ['1', '2', '3']) await label(ns, 'a', x)
      assert.deepEqual(await read(watches[0]!, 4), ['ADDED a', 'MODIFIED a', 'MODIFIED a', 'MODIFIED a'])
      watches[0]!.close()
    })
  })
