import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Log } from '#base/log.ts'
import { SandboxRecords } from './records.ts'

const uid = (digit: number) => `00000000-0000-4000-8000-00000000000${digit}`

test('sandboxes are listed whatever else is in their folder, and what is none is reported once', async (t) => {
  const pods = await mkdtemp(join(tmpdir(), 'pb-'))
  t.after(() => rm(pods, { recursive: true, force: true }))
  const warned: string[] = []
  const drop = () => undefined
  const warn = (fields: Record<string, unknown>) => warned.push(String(fields.path ?? fields.uid))
  const log: Log = { debug: drop, info: drop, warn, error: drop, child: () => log }
  const records = new SandboxRecords(pods, log)
  const owner = { node: 'a', cluster: 'c' }
  await records.write({ uid: uid(1), namespace: 'n', name: 'one', owner, attachments: [] })
  await mkdir(join(pods, uid(2)))
  await mkdir(join(pods, uid(3)))
  await writeFile(join(pods, uid(3), 'sandbox.json'), '{"uid":')
  await mkdir(join(pods, 'lost+found'))
  await writeFile(join(pods, 'notes'), '')
  await writeFile(join(pods, uid(4)), 'a file')
  const nameless = (one: string) => ({ uid: one, namespace: '', name: '' })
  const byUid = (a: { uid: string }, b: { uid: string }) => a.uid.localeCompare(b.uid)
  const wanted = [{ uid: uid(1), namespace: 'n', name: 'one', owner }, nameless(uid(2)), nameless(uid(3))]
  assert.deepEqual((await records.list()).toSorted(byUid), wanted)
  await records.list()
  const strangers = [uid(4), 'lost+found', 'notes'].map((name) => join(pods, name))
  assert.deepEqual(warned.filter((path) => path.startsWith('/')).toSorted(), strangers.toSorted())
  await assert.rejects(records.read(uid(3)), { kind: 'Unavailable', message: /sandbox.json is damaged; put it back/ })
  await records.disown(uid(1))
  assert.equal((await records.find(uid(1))).owner, undefined)
})
