import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admin, faultIn, makeWidget, openRegistry, specOf, Widget } from '#kit/machinery/rest/rest-kit.ts'
import type { Doc } from './doc.ts'
import { listPage } from './list.ts'
import type { Query } from './request.ts'
import { failure } from './status.ts'
import { planWatch } from './watch.ts'

const names = (page: { items: readonly { metadata: { name: string } }[] }) =>
  page.items.map(({ metadata }) => metadata.name).join(' ')

test('list: pages are all of the revision of the first, whatever changes in between', async (t) => {
  const registry = await openRegistry(t)
  for (const name of ['a', 'b', 'c', 'd', 'e']) await makeWidget(registry, name)
  const page = (query: Record<string, string>) => listPage(registry, Widget, undefined, query)
  const first = await page({ limit: '2' })
  assert.equal(names(first), 'a b')
  assert.equal(first.metadata.remainingItemCount, 3)
  await registry.delete(Widget, { namespace: 'default', name: 'd' }, admin)
  await makeWidget(registry, 'bb')
  const second = await page({ limit: '2', continue: String(first.metadata.continue) })
  assert.equal(names(second), 'c d')
  assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion)
  const third = await page({ limit: '2', continue: String(second.metadata.continue) })
  assert.deepEqual(
    [names(third), third.metadata.continue, third.metadata.remainingItemCount],
    ['e', undefined, undefined],
  )
  assert.equal(names(await page({})), 'a b bb c e')
})

test('list: selectors select before the limit counts', async (t) => {
  const registry = await openRegistry(t)
  for (const name of ['a', 'b', 'c', 'd'])
    await makeWidget(registry, name, {}, { labels: { x: name < 'b' ? '1' : '2' } })
  const query = { limit: '2', labelSelector: 'x=2' }
  const first = await listPage(registry, Widget, 'default', query)
  assert.deepEqual([names(first), first.metadata.remainingItemCount], ['b c', undefined])
  assert.equal(
    names(await listPage(registry, Widget, 'default', { ...query, continue: String(first.metadata.continue) })),
    'd',
  )
})

test('list: a token too old is told 410 with one that goes on inconsistently', async (t) => {
  const registry = await openRegistry(t)
  for (const name of ['a', 'b', 'c']) await makeWidget(registry, name)
  const first = await listPage(registry, Widget, undefined, { limit: '1' })
  await makeWidget(registry, 'bb')
  await registry.store.compact(registry.store.revision)
  const fault = await faultIn(() =>
    listPage(registry, Widget, undefined, { continue: String(first.metadata.continue) }),
  )
  const status = failure(fault)
  assert.deepEqual([status.code, status.reason], [410, 'Expired'])
  assert.match(
    status.message ?? '',
    /^The provided continue parameter is too old to display a consistent list result\./,
  )
  const rest = await listPage(registry, Widget, undefined, { continue: status.metadata.continue })
  assert.equal(names(rest), 'b bb c')
})

for (const [query, kind, message] of [
  [{ continue: 'x' }, 'BadRequest', /^continue key is not valid/],
  [
    { continue: 'x', resourceVersion: '5' },
    'BadRequest',
    /^specifying resource version is not allowed when using continue/,
  ],
  [
    { resourceVersionMatch: 'Exact' },
    'Invalid',
    /resourceVersionMatch is forbidden unless resourceVersion is provided$/,
  ],
  [{ resourceVersionMatch: 'Exact', resourceVersion: '0' }, 'Invalid', /"Exact" is forbidden for resourceVersion "0"$/],
  [{ resourceVersionMatch: 'x', resourceVersion: '1' }, 'Invalid', /supported values: "Exact", "NotOlderThan"/],
  [
    { resourceVersionMatch: 'Exact', resourceVersion: '1' },
    'Expired',
    /^The resourceVersion for the provided list is too old\.$/,
  ],
  [{ resourceVersion: '99999' }, 'Timeout', /^Timeout: Too large resource version: 99999, current: \d+$/],
  [{ sendInitialEvents: 'true' }, 'Invalid', /sendInitialEvents is forbidden for list$/],
] as const)
  test(`list: ${JSON.stringify(query)} is refused`, async (t) => {
    const registry = await openRegistry(t)
    await makeWidget(registry, 'a')
    await registry.store.compact(registry.store.revision)
    const fault = await faultIn(() => listPage(registry, Widget, undefined, query))
    assert.equal(fault.kind, kind)
    assert.match(fault.message, message)
  })

test('list: an exact revision that is the newest, and any not older, are served', async (t) => {
  const registry = await openRegistry(t)
  const { metadata } = await makeWidget(registry, 'a')
  const resourceVersion = metadata.resourceVersion!
  assert.equal(
    names(await listPage(registry, Widget, undefined, { resourceVersion, resourceVersionMatch: 'Exact' })),
    'a',
  )
  assert.equal(
    names(await listPage(registry, Widget, undefined, { resourceVersion: '1', resourceVersionMatch: 'NotOlderThan' })),
    'a',
  )
})

test('list: an exact revision that is older is served as it was, page by page, until it is compacted away', async (t) => {
  const registry = await openRegistry(t)
  const revisions: string[] = [String(registry.store.revision)]
  const note = (_written: unknown) => revisions.push(String(registry.store.revision))
  for (const name of ['b', 'a', 'c']) note(await makeWidget(registry, name, { size: 1 }))
  const size = (doc: Doc) => ({ ...doc, spec: { size: 2 } })
  note(await registry.update(Widget, { namespace: 'default', name: 'b' }, size, admin))
  note(await registry.delete(Widget, { namespace: 'default', name: 'a' }, admin))
  note(await makeWidget(registry, 'a', { size: 3 }))
  const exact = (i: number, more: Query = {}) =>
    listPage(registry, Widget, undefined, {
      resourceVersion: revisions[i],
      resourceVersionMatch: 'Exact',
      ...more,
    })
  const shown = ({ items }: { items: readonly Doc[] }) =>
    items.map((doc) => `${doc.metadata.name}${specOf(doc).size}`).join(' ')
  const lists: string[] = []
  for (const i of revisions.keys()) lists.push(shown(await exact(i)))
  assert.deepEqual(lists, ['', 'b1', 'a1 b1', 'a1 b1 c1', 'a1 b2 c1', 'b2 c1', 'a3 b2 c1'])
  for (const i of revisions.keys()) assert.equal((await exact(i)).metadata.resourceVersion, revisions[i])
  const first = await exact(3, { limit: '2' })
  assert.equal(shown(first), 'a1 b1')
  // What was kept for its next page has been pushed out by other lists.
  for (let i = 0; i < 70; i++) await listPage(registry, Widget, `other${i}`, { limit: '1' })
  const { continue: token } = first.metadata
  assert.equal(shown(await listPage(registry, Widget, undefined, { continue: String(token) })), 'c1')
  await registry.store.compact(Number(revisions[4]))
  assert.equal(shown(await exact(4)), 'a1 b2 c1')
  assert.equal((await faultIn(() => exact(3))).kind, 'Expired')
})

const request = (query: Record<string, string>) => ({ namespace: undefined, name: undefined, query, accept: undefined })

for (const [query, message] of [
  [
    { resourceVersionMatch: 'NotOlderThan' },
    /resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided$/,
  ],
  [{ sendInitialEvents: 'true' }, /sendInitialEvents requires setting resourceVersionMatch to NotOlderThan$/],
  [{ resourceVersion: '99999' }, /^Timeout: Too large resource version: 99999, current: \d+$/],
] as const)
  test(`watch: ${JSON.stringify(query)} is refused before it begins`, async (t) => {
    const registry = await openRegistry(t)
    const { message: text } = await faultIn(() => planWatch(registry, Widget, request(query)))
    assert.match(text, message)
  })
