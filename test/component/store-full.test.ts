import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { makeGround, startOn } from './cluster.ts'

it('a full store refuses what makes it grow with the remedy, is not ready, and is well again after deletes', async (t) => {
  const ground = await makeGround()
  t.after(() => ground.remove())
  const cluster = await startOn(ground, { agent: false, storeQuotaBytes: 6_000_000 })
  t.after(() => cluster.stop())
  const all = '/api/v1/namespaces/default/configmaps'
  const configMap = (name: string) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name },
    data: { pad: 'x'.repeat(900_000) },
  })
  const made: string[] = []
  const answer = await eventually(
    'the store is full',
    async () => {
      const created = await cluster.api.send('POST', all, { body: configMap(`c${made.length}`) })
      if (created.code === 201) made.push(created.json.metadata.name)
      return created.code === 201 ? undefined : created
    },
    { everyMs: 1 },
  )
  assert.equal(answer.code, 503)
  assert.match(
    answer.json.message,
    /is full \(\d+ of 6000000 bytes\): delete objects, or start with a larger --store-quota/,
  )
  const readyz = async () => (await cluster.api.send('GET', '/readyz')).text
  assert.match(await readyz(), /^\[-\]The store \S+ is full/)
  for (const name of made.slice(2)) assert.equal((await cluster.api.send('DELETE', `${all}/${name}`)).code, 200)
  await eventually(
    'there is room again',
    async () => (await cluster.api.send('POST', all, { body: configMap('more') })).code === 201,
  )
  await eventually('it is ready', async () => (await readyz()) === 'ok')
})
