import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Page } from 'playwright-core'
import { eventually } from '#base/wait.ts'
import { isAccessible } from '#kit/page/accessible.ts'
import { Hands } from '#kit/page/hands.ts'
import { Stand } from '#kit/page/stand.ts'
import { makeWorld } from '#kit/page/world.ts'
import { vm } from '../../tools/stage/manifests.ts'
import { nadsPath, podsPath, vmisPath, vmsPath } from '../component/api.ts'

const markup = '<img src=x onerror="document.title=1"><script>document.title=1</script>'

describe('the page tells the truth', { timeout: 250_000 }, () => {
  let stand: Stand
  let hands: Hands
  let page: Page
  let token: string
  before(async () => {
    stand = await Stand.open()
    await makeWorld(stand.cluster.api)
    token = await stand.token('owner', 'cluster-admin')
    page = await stand.page(token)
    hands = new Hands(stand, page)
    await hands.sees('web-1/red', 'up')
  })
  after(() => stand?.[Symbol.asyncDispose]())

  const patch = (name: string, body: unknown) => stand.cluster.api.patch(vmsPath('default', name), body)
  const bay = () => page.getByRole('link', { name: 'Bay', exact: true }).click()
  const table = () => page.getByRole('link', { name: 'Table', exact: true }).click()

  it('a link that was changed outside Patchbay is shown as drift, in the bay and in the table', async () => {
    const { api } = stand.cluster
    const drifty = vm('drifty', { secondary: { red: undefined } })
    const metadata = { ...drifty.metadata, annotations: { 'patchbay.dev/link-drift': 'report' } }
    await api.create(vmsPath('default'), { ...drifty, metadata })
    await hands.sees('drifty/red', 'up')
    const pods = await api.list(podsPath('default'))
    const pod = pods.find((one) => one.metadata.name.includes('drifty'))
    stand.cluster.sandboxes.setLink(pod.metadata.uid, 'red', 'down')
    await hands.sees('drifty/red', 'drifted')
    await stand.picture(page, 'drift')
    await table()
    const row = page.locator('[data-truth="default/drifty/red"].different')
    await row.waitFor()
    assert.match((await row.textContent()) ?? '', /up.*down.*differs/)
    await stand.picture(page, 'table')
    stand.cluster.sandboxes.setLink(pod.metadata.uid, 'red', 'up')
    await page.locator('[data-truth="default/drifty/red"]:not(.different)').waitFor()
  })

  it('the table sorts by any column, and does what the bay does', async () => {
    await page.getByRole('button', { name: 'Network', exact: true }).click()
    await page.locator('th.col-network[aria-sort="ascending"]').waitFor()
    const networks = await page.locator('td.col-network').allTextContents()
    assert.deepEqual(networks, networks.toSorted())
    await page.getByRole('button', { name: 'Network', exact: true }).click()
    await page.locator('th.col-network[aria-sort="descending"]').waitFor()
    await page.getByRole('button', { name: 'Card red of web-2' }).click()
    await page.getByRole('menuitem', { name: 'Pull the cable' }).click()
    await hands.doIt()
    await page.locator('[data-truth="default/web-2/red"]').getByText('pulled').waitFor()
    await bay()
  })

  it('a plug that fails is shown with the sentence of the server', async () => {
    const edit = [
      { op: 'add', path: '/spec/template/spec/domain/devices/interfaces/-', value: { name: 'bad', bridge: {} } },
      { op: 'add', path: '/spec/template/spec/networks/-', value: { name: 'bad', multus: { networkName: 'sim-bad' } } },
    ]
    await patch('web-2', edit)
    await hands.sees('web-2/bad', 'failed')
    await page.locator('[data-row="default/web-2"] .problem[title*="CNI plugin"]').waitFor()
    await stand.picture(page, 'failed-plug')
  })

  it('a migration under way is shown on every cable of its machine', async () => {
    const { api } = stand.cluster
    await api.create(vmsPath('default'), vm('stall-1', { secondary: { red: undefined } }))
    await api.until('it runs', vmisPath('default', 'stall-1'), (vmi) => vmi?.status?.phase === 'Running')
    await page.getByRole('button', { name: 'Menu of stall-1' }).click()
    await page.getByRole('menuitem', { name: 'Migrate' }).click()
    await hands.doIt()
    await hands.sees('stall-1/red', 'migrating')
    await stand.picture(page, 'migration')
    await page.getByRole('link', { name: 'stall-1' }).click()
    await page.getByRole('heading', { name: 'Migrations' }).waitFor()
    await page.locator('progress').waitFor()
    const migrations = '/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstancemigrations'
    const [{ metadata }] = await api.list(migrations)
    await api.delete(`${migrations}/${metadata.name}`)
    await bay()
    await hands.sees('stall-1/red', 'up')
  })

  it('markup in names, annotations and events is text', async () => {
    const { api } = stand.cluster
    const flap = { interface: 'red', who: markup, until: new Date(Date.now() + 60_000).toISOString(), periodMs: 1000 }
    await patch('web-1', { metadata: { annotations: { 'patchbay.dev/flap': JSON.stringify(flap) } } })
    await page.locator('[data-row="default/web-1"]').getByText('flapping').waitFor()
    const { metadata } = await api.get(vmsPath('default', 'web-1'))
    await api.create('/api/v1/namespaces/default/events', {
      metadata: { name: 'hostile', namespace: 'default' },
      involvedObject: { kind: 'VirtualMachine', name: 'web-1', namespace: 'default', uid: metadata.uid },
      reason: 'Hostile',
      message: markup,
      type: 'Warning',
      lastTimestamp: new Date(0).toISOString().replace('.000', ''),
    })
    await api.create(nadsPath('default'), {
      apiVersion: 'k8s.cni.cncf.io/v1',
      kind: 'NetworkAttachmentDefinition',
      metadata: { name: 'hostile', namespace: 'default' },
      spec: { config: JSON.stringify({ cniVersion: '0.4.0', type: markup, name: markup }) },
    })
    await page.locator('[data-rail="default/hostile"] small').getByText('<script>').waitFor()
    await page.getByRole('link', { name: 'web-1' }).click()
    await page.locator('.timeline').getByText('<script>').waitFor()
    assert.equal(await page.locator('img, .timeline script').count(), 0)
    assert.equal(await page.title(), 'Patchbay')
    await bay()
  })

  it('256 cards, a machine without any, a broken network and one that is missing are designed states', async () => {
    const { api } = stand.cluster
    const many = vm('many', { runStrategy: 'Halted' })
    const names = Array.from({ length: 255 }, (_, index) => `n${index}`)
    many.spec.template.spec.domain.devices.interfaces.push(...names.map((name) => ({ name, bridge: {} })))
    many.spec.template.spec.networks.push(...names.map((name) => ({ name, multus: { networkName: 'nowhere' } })))
    const bare = vm('bare', { runStrategy: 'Halted' })
    bare.spec.template.spec.domain.devices = { interfaces: [], autoattachPodInterface: false } as never
    bare.spec.template.spec.networks = []
    await api.create(vmsPath('default'), many)
    await api.create(vmsPath('default'), bare)
    const search = page.getByRole('searchbox')
    await search.fill('many')
    await page.locator('[data-row="default/many/n3"]').waitFor()
    assert.ok((await page.locator('.row').count()) < 80, 'only lines in view are in the page')
    await page.locator('[data-rail="default/nowhere"]').getByText('There is no NetworkAttachmentDefinition').waitFor()
    await page.locator('[data-rail="default/broken"]').getByText('no JSON').waitFor()
    await search.fill('bare')
    await page.locator('[data-row="default/bare "]').waitFor()
    await page.getByRole('link', { name: 'bare' }).click()
    await page.getByText('This machine has no network card.').waitFor()
    await bay()
    await search.fill('no such machine')
    await page.getByText('No machine matches.').waitFor()
    await page.getByRole('button', { name: 'Show all' }).click()
    await api.delete(vmsPath('default', 'many'))
    await page.locator('[data-row="default/many"]').waitFor({ state: 'detached' })
  })

  it('a machine that is deleted while its question is open says so', async () => {
    const { api } = stand.cluster
    await api.create(vmsPath('default'), vm('brief', { runStrategy: 'Halted', secondary: { red: undefined } }))
    await page.getByRole('searchbox').fill('brief')
    await hands.sees('brief/red', 'idle')
    await page.locator('[data-row="default/brief/red"] .card').click()
    await page.getByRole('menuitem', { name: 'Pull the cable' }).click()
    await hands.plan()
    await api.delete(vmsPath('default', 'brief'))
    await page.getByText('The machine was deleted meanwhile.').waitFor()
    await isAccessible(page, 'gone')
    await stand.picture(page, 'gone')
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
    await page.getByRole('searchbox').fill('')
  })

  it('a change that another client made first is not undone: both are shown, and it can be tried again', async () => {
    await page.locator('[data-row="default/db-1/storage"] .card').click()
    await page.getByRole('menuitem', { name: 'Rewire' }).click()
    await page.getByRole('dialog').getByLabel('Network').selectOption('red')
    await hands.plan()
    await patch('db-1', [{ op: 'add', path: '/spec/template/spec/domain/devices/interfaces/1/state', value: 'down' }])
    await hands.sees('db-1/storage', 'pulled')
    await page.getByRole('button', { name: 'Do it' }).click()
    await page.getByText('It was changed meanwhile').waitFor()
    await page.locator('.compare').getByText('storage: default/storage, down').waitFor()
    await isAccessible(page, 'conflict')
    await stand.picture(page, 'conflict')
    await page.getByRole('button', { name: 'Try again' }).click()
    await hands.doIt()
    assert.deepEqual(
      [(await hands.declared('db-1/storage')).network, (await hands.declared('db-1/storage')).state],
      ['red', 'down'],
    )
  })

  it('a server that is gone is shown, what may be old is greyed, and all goes on when it is back', async () => {
    await stand.stopServer()
    await page.getByText('Connection lost').waitFor()
    await page.locator('.head.stale ~ .view').waitFor()
    await isAccessible(page, 'stale')
    await stand.picture(page, 'stale')
    await stand.startServer()
    await page.getByText('Live', { exact: true }).waitFor()
    await patch('web-2', [{ op: 'add', path: '/spec/template/spec/domain/devices/interfaces/0/state', value: 'down' }])
    await hands.sees('web-2/default', 'pulled')
  })

  it('a page that slept while history went away lists again', async () => {
    const paths: string[] = []
    const note = (request: { url(): string }) => paths.push(request.url())
    page.on('request', note)
    stand.door.target = undefined
    await page.getByText('Connection lost').waitFor()
    await patch('web-2', [
      { op: 'replace', path: '/spec/template/spec/domain/devices/interfaces/0/state', value: 'up' },
    ])
    await stand.cluster.store.compact(stand.cluster.store.revision)
    stand.door.target = stand.cluster.port
    await hands.sees('web-2/default', 'up')
    page.off('request', note)
    assert.ok(
      paths.some((url) => url.endsWith('/virtualmachines')),
      'the list is read again',
    )
  })

  it('a session that ends asks to sign in again over the page, and nothing typed is lost', async () => {
    await page.getByRole('link', { name: 'New machine' }).click()
    await page.getByLabel('Name').first().fill('typed')
    await stand.cluster.api.delete('/api/v1/namespaces/default/serviceaccounts/owner')
    // What has begun before goes on; whatever begins is refused.
    stand.door.target = undefined
    stand.door.target = stand.cluster.port
    await page.getByText('Your session has ended').waitFor()
    await isAccessible(page, 'session ended')
    await stand.picture(page, 'session-ended')
    await page.getByLabel('Token').fill(token)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('does not accept this token').waitFor()
    await page.getByLabel('Token').fill(await stand.token('successor', 'cluster-admin'))
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('Your session has ended').waitFor({ state: 'detached' })
    assert.equal(await page.getByLabel('Name').first().inputValue(), 'typed')
    await bay()
    await page.getByText('Live', { exact: true }).waitFor()
  })

  it('a user who may only look sees everything, can change nothing, and is told what is missing', async () => {
    const viewer = new Hands(stand, await stand.page(await stand.token('viewer', 'view')))
    await viewer.sees('web-2/default', 'up')
    await viewer.page.locator('[data-row="default/web-2/default"] .card').click()
    const item = viewer.page.getByRole('menuitem', { name: 'Pull the cable' })
    await item.getByText('patch virtualmachines.kubevirt.io in namespace default').waitFor()
    assert.equal(await item.getAttribute('aria-disabled'), 'true')
    await stand.picture(viewer.page, 'viewer')
    await item.click({ force: true })
    assert.equal(await viewer.page.getByRole('dialog').count(), 0)
    await viewer.page.context().close()
  })

  it('a user with rights in one namespace is asked for it', async () => {
    const { api } = stand.cluster
    const nobody = await stand.token('local', 'system:discovery')
    await api.create('/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings', {
      metadata: { name: 'local-view' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
      subjects: [{ kind: 'ServiceAccount', name: 'local', namespace: 'default' }],
    })
    const local = await stand.page()
    await local.getByLabel('Token').fill(nobody)
    await local.getByRole('button', { name: 'Sign in' }).click()
    await local.getByText('You may not see machines of all namespaces').waitFor()
    await isAccessible(local, 'choice of a namespace')
    await stand.picture(local, 'namespace')
    await local.getByRole('button', { name: 'Open' }).click()
    await new Hands(stand, local).sees('web-2/default', 'up')
    await local.context().close()
  })

  it('a one-time code signs in, and leaves the address at once; an open page renews its token in time', async () => {
    const fresh = await stand.page()
    await fresh.clock.install()
    const { code } = await stand.cluster.api.create('/ui/session/code', {})
    await fresh.goto(`${stand.origin}/#code=${code}`)
    await fresh.reload()
    await fresh.getByText('Live', { exact: true }).waitFor()
    assert.equal(new URL(fresh.url()).hash, '')
    const tokenOf = () => fresh.evaluate<string>("JSON.parse(sessionStorage.getItem('patchbay.session')).token")
    const first = await tokenOf()
    const renewed = fresh.waitForResponse('**/ui/session/renew')
    await fresh.clock.fastForward('46:00')
    assert.ok((await renewed).ok())
    await eventually('the page has another token', async () => (await tokenOf()) !== first)
    await fresh.context().close()
  })

  it('a token that is wrong and a code that was used are refused in words', async () => {
    const fresh = await stand.page()
    await fresh.getByLabel('Token').fill('nonsense')
    await fresh.getByRole('button', { name: 'Sign in' }).click()
    await fresh.getByText('does not accept this token').waitFor()
    await fresh.goto(`${stand.origin}/#code=used`)
    await fresh.reload()
    await fresh.getByText('This link has been used').waitFor()
    assert.equal(new URL(fresh.url()).hash, '')
    await fresh.context().close()
  })

  it('nothing was said in the browser’s console but of refused requests', () => {
    assert.deepEqual(stand.errors, [])
  })
})
