import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DataSource, DataSourceSource } from '#apis/cdi/datasource.ts'
import type { DataVolume } from '#apis/cdi/datavolume.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { dataSourceStatus, resolveDataSource } from './data-sources.ts'

const now = '2026-01-01T00:00:00Z'

function dataSource(name: string, source: DataSourceSource): DataSource {
  const type = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataSource' }
  return { ...type, metadata: { name, namespace: 'ns' }, spec: { source } }
}
const finder =
  (...all: DataSource[]) =>
  ({ namespace, name }: { namespace: string; name: string }) =>
    all.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name)
const key = (name: string) => ({ namespace: 'ns', name })

test('a DataSource leads to a claim, over others too, whose namespace is its own unless it says another', () => {
  const find = finder(
    dataSource('a', { pvc: { name: 'p' } }),
    dataSource('b', { pvc: { namespace: 'other', name: 'p' } }),
    dataSource('c', { dataSource: { name: 'b' } }),
  )
  assert.deepEqual(resolveDataSource(key('a'), find), { pvc: key('p') })
  for (const name of ['b', 'c'])
    assert.deepEqual(resolveDataSource(key(name), find), { pvc: { namespace: 'other', name: 'p' } })
})

test('one that leads nowhere says why', () => {
  const find = finder(
    dataSource('none', {}),
    dataSource('gone', { dataSource: { namespace: 'other', name: 'x' } }),
    dataSource('round', { dataSource: { name: 'round' } }),
  )
  for (const [name, reason, message] of [
    ['none', 'NoSource', /^No source PVC set$/],
    ['gone', 'NotFound', /^DataSource other\/x does not exist, waiting for it to appear$/],
    ['round', 'MaxReferenceDepthReached', /^DataSource ns\/round leads over more than 8 others; let it name a PVC$/],
  ] as const) {
    const resolved = resolveDataSource(key(name), find)
    assert.ok('reason' in resolved)
    assert.equal(resolved.reason, reason)
    assert.match(resolved.message, message)
  }
})

test('it is ready when its claim is there, with its content', () => {
  const one = dataSource('a', { pvc: { name: 'p' } })
  const status = (claim: boolean, phase?: string) => {
    const { conditions = [], source } = dataSourceStatus(
      one,
      {
        dataSource: finder(),
        claim: () => (claim ? ({} as PersistentVolumeClaim) : undefined),
        dataVolume: () => (phase === undefined ? undefined : ({ status: { phase } } as DataVolume)),
      },
      now,
    )
    assert.deepEqual(source, { pvc: key('p') })
    return conditions.map(({ type, status: is, reason }) => `${type} ${is} ${reason}`)
  }
  assert.deepEqual(status(true), ['Ready True Ready'])
  assert.deepEqual(status(true, 'Succeeded'), ['Ready True Ready'])
  assert.deepEqual(status(true, 'ImportInProgress'), ['Ready False ImportInProgress'])
  assert.deepEqual(status(false), ['Ready False NotFound'])
})
