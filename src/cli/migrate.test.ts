import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Context } from './context.ts'
import { cancelMigration, migrate } from './migrate.ts'

/** A server with some migrations, which records its requests. */
function open(phases: readonly (string | undefined)[]) {
  const asked: unknown[] = []
  const lines: string[] = []
  const items = phases.map((phase, i) => ({ metadata: { name: `m${i}` }, ...(phase && { status: { phase } }) }))
  const client = {
    list: async (_kind: unknown, scope: unknown) => {
      asked.push(scope)
      return { items }
    },
    delete: async (_kind: unknown, key: unknown, options: unknown) => asked.push([key, options]),
    call: async (...args: unknown[]) => asked.push(args),
  }
  const context = { client, namespace: 'ns', print: { line: (text: string) => lines.push(text) } } as unknown as Context
  return { context, asked, lines }
}

test('migrate-cancel deletes the first migration that has not ended', async () => {
  const { context, asked, lines } = open(['Succeeded', 'Failed', 'Running', undefined])
  await cancelMigration(context, 'a', false)
  assert.deepEqual(asked, [
    { namespace: 'ns', labelSelector: 'kubevirt.io/vmi-name==a' },
    [{ namespace: 'ns', name: 'm2' }, { dryRun: false }],
  ])
  assert.deepEqual(lines, ['VM a was scheduled to migrate-cancel'])
  const pending = open([undefined])
  await cancelMigration(pending.context, 'a', true)
  assert.deepEqual(pending.asked[1], [{ namespace: 'ns', name: 'm0' }, { dryRun: true }])
  assert.equal(pending.lines[0], 'Dry Run execution')
  await assert.rejects(cancelMigration(open(['Succeeded']).context, 'a', false), {
    message: 'Found no migration to cancel for a',
    code: 1,
  })
})

test('migrate sends the labels of the node it may go to', async () => {
  const { context, asked, lines } = open([])
  await migrate(context, 'a', { labels: ['zone=b', 'disk='], dryRun: true })
  const path = '/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachines/a/migrate'
  assert.deepEqual(asked, [['PUT', path, { dryRun: ['All'], addedNodeSelector: { zone: 'b', disk: '' } }]])
  assert.deepEqual(lines, ['Dry Run execution', 'VM a was scheduled to migrate'])
})
