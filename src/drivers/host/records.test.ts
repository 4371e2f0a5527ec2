import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Log, silent } from '#base/log.ts'
import type { SandboxSpec } from '#core/ports.ts'
import type { RecordedMirror } from '#core/sandbox/mirrors.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { recordAfter, type SandboxRecord, SandboxRecords } from './records.ts'

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

test('mirrors are recorded with their sandbox and found by all others, whatever else is damaged', async (t) => {
  const pods = await mkdtemp(join(tmpdir(), 'pb-'))
  t.after(() => rm(pods, { recursive: true, force: true }))
  const records = new SandboxRecords(pods, silent)
  const mirror = (nic: string): RecordedMirror => ({
    ...{ nic, network: 'ns/blue', bridge: 'blue', tap: 'tap1', mac: '02:00:00:00:00:01', pref: 1 },
    own: { clsact: true, promisc: false },
  })
  for (const digit of [1, 2])
    await records.write({ uid: uid(digit), namespace: 'n', name: 'x', attachments: [], lowered: ['red'] })
  await records.writeMirrors(uid(1), [mirror('a')])
  await records.writeMirrors(uid(2), [mirror('b'), mirror('c')])
  await mkdir(join(pods, uid(3)))
  await writeFile(join(pods, uid(3), 'sandbox.json'), '{"uid":')
  assert.deepEqual(await records.mirrorsOf(uid(1)), [mirror('a')])
  assert.deepEqual((await records.mirrorsBeside(uid(1))).map(({ nic }) => nic).toSorted(), ['b', 'c'])
  await records.writeMirrors(uid(2), [])
  assert.deepEqual(await records.mirrorsBeside(uid(1)), [])
  assert.deepEqual(await records.read(uid(2)), {
    uid: uid(2),
    namespace: 'n',
    name: 'x',
    attachments: [],
    lowered: ['red'],
  })
  // What was removed meanwhile is not written again.
  await records.writeMirrors(uid(4), [mirror('d')])
  assert.equal(await records.read(uid(4)), undefined)
})

const owner = { node: 'n', cluster: 'c', revision: '7' }
const spec: SandboxSpec = { uid: uid(1), namespace: 'ns', name: 'pod', owner, domain: 'd', user: 1002, attachments: [] }
const red = { name: 'red', network: 'ns/red', config: '{}', problem: 'x' } as unknown as Attachment
const old: SandboxRecord = {
  ...{ uid: uid(1), namespace: 'ns', name: 'pod', owner, domain: 'd', user: 1000 },
  ...{ attachments: [], netns: 4026, lowered: ['red'] },
}

for (const [what, before, wanted, expected] of [
  ['that is new has what its pod says', undefined, spec, { user: 1002, domain: 'd', owner }],
  [
    'keeps its user, its domain and its namespace',
    old,
    { ...spec, domain: 'other' },
    { user: 1000, domain: 'd', netns: 4026 },
  ],
  ['still knows which links are to be raised', old, spec, { lowered: ['red'] }],
  ['of a version without users gets none', { ...old, user: undefined }, spec, { user: undefined }],
  ['of a version without domains gets one', { ...old, domain: undefined }, spec, { domain: 'd' }],
  ['keeps the revision it was made at', old, { ...spec, owner: { ...owner, revision: '9' } }, { owner }],
  [
    'of another cluster becomes this one’s',
    old,
    { ...spec, owner: { ...owner, cluster: 'e' } },
    { owner: { ...owner, cluster: 'e' } },
  ],
] as const)
  test(`a sandbox ${what}`, () => {
    const made = recordAfter(before as SandboxRecord | undefined, wanted, [red])
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(made[key as keyof SandboxRecord], value, key)
    // Configuration counts only until CNI has a record of its own.
    assert.deepEqual(made.attachments, [{ name: 'red', network: 'ns/red' }])
  })

test('a record is read as it was written, without configurations, by this and by earlier versions', async (t) => {
  const pods = await mkdtemp(join(tmpdir(), 'pb-'))
  t.after(() => rm(pods, { recursive: true, force: true }))
  const records = new SandboxRecords(pods, silent)
  assert.equal(await records.read(uid(1)), undefined)
  await mkdir(join(pods, uid(1)))
  await records.write({ ...old, attachments: [red] })
  assert.deepEqual(await records.read(uid(1)), { ...old, attachments: [{ name: 'red', network: 'ns/red' }] })
  const { owner: _, ...disowned } = (await records.read(uid(1)))!
  await records.disown(uid(1))
  await records.disown(uid(1))
  assert.deepEqual(await records.read(uid(1)), disowned)
  for (const name of ['', '..', '../x', 'pod', `${uid(1)}/..`]) assert.throws(() => records.at(name), { kind: 'Bug' })
})
