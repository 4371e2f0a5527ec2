import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachineInstanceMigration as Migration } from '#apis/kubevirt/migration.ts'
import type { Stored } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { hasClaim } from '#core/migration/phases.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Informer } from '#machinery/client/informer.ts'
import { Claims, claim } from './migration-claims.ts'

const migration = (uid: string, status: Migration['status'] = { phase: 'Pending' }): Stored<Migration> =>
  ({ metadata: { namespace: 'ns', name: uid, uid }, spec: { vmiName: 'x' }, status }) as unknown as Stored<Migration>

/** A cache that lags behind, and a server whose writes can be made to fail. */
function open() {
  const cached = new Map([migration('a'), migration('b')].map((one) => [one.metadata.uid, one]))
  const written: Migration[] = []
  const server = { failure: undefined as Fault | undefined }
  const client = {
    modify: async (_kind: unknown, { name }: { name: string }, change: (one: Migration) => Migration | undefined) => {
      if (server.failure) throw server.failure
      const after = change(cached.get(name)!)
      if (after) written.push(after)
      return after
    },
  } as unknown as Client
  const claims = new Claims({ list: () => [...cached.values()] } as unknown as Informer<Migration, 'byVmi'>)
  const holders = () =>
    claims
      .all()
      .filter(hasClaim)
      .map(({ metadata }) => metadata.uid)
  return { cached, written, server, client, claims, holders }
}

test('a claim counts from the moment it is made, though neither server nor cache have it yet', async () => {
  const { cached, claims, client, holders } = open()
  const writing = claim(client, claims, cached.get('a')!, 'node1')
  assert.deepEqual(holders(), ['a'])
  await writing
  assert.deepEqual(holders(), ['a'])
  assert.equal(hasClaim(claims.latest(cached.get('a')!)), true)
  assert.equal(hasClaim(claims.latest(cached.get('b')!)), false)
})

test('what is written says which node the guest leaves', async () => {
  const { cached, claims, client, written } = open()
  await claim(client, claims, cached.get('a')!, 'node1')
  assert.equal(written[0]?.status?.migrationState?.sourceNode, 'node1')
})

test('a claim that cannot be written is given up', async () => {
  const { cached, claims, client, server, holders } = open()
  server.failure = new Fault('Unavailable', 'the server is gone')
  await assert.rejects(claim(client, claims, cached.get('a')!, 'node1'), { kind: 'Unavailable' })
  assert.deepEqual(holders(), [])
})

test('a migration that ended meanwhile is not written, and holds nothing once the cache has its end', async () => {
  const { cached, claims, client, written, holders } = open()
  const before = cached.get('a')!
  const ended = migration('a', { phase: 'Failed' })
  cached.set('a', ended)
  await claim(client, claims, before, 'node1')
  assert.deepEqual([written, holders()], [[], []])
})

test('a claim that the cache has is the cache’s; so is its end, and that of the object', async () => {
  const { cached, claims, client, holders, written } = open()
  await claim(client, claims, cached.get('a')!, 'node1')
  cached.set('a', written[0] as Stored<Migration>)
  claims.seen(cached.get('a')!, true)
  assert.deepEqual(holders(), ['a'])
  cached.delete('a')
  assert.deepEqual(holders(), [])
  await claim(client, claims, cached.get('b')!, 'node1')
  claims.seen(cached.get('b')!, false)
  assert.deepEqual(holders(), [])
})
