import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, linkStates, makeNamespace, podOf, run, statePatch, vm } from './manifests.ts'

describe('links and who changes them', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  async function withVm(annotations: Record<string, string> = {}): Promise<{ ns: string; uid: string }> {
    const ns = await makeNamespace(cluster.api, ['red'])
    const manifest = vm('a', [{ name: 'red' }])
    await run(cluster.api, ns, { ...manifest, metadata: { ...manifest.metadata, annotations } })
    return { ns, uid: (await podOf(cluster.api, ns, 'a')).metadata.uid }
  }
  const eventsOf = async (ns: string, reason: string): Promise<Any[]> =>
    (await cluster.api.list(`/api/v1/namespaces/${ns}/events`)).filter((event) => event.reason === reason)

  it('a link changed behind our back is told, seen in the status, and put back', async () => {
    const { ns, uid } = await withVm()
    const seen: string[] = []
    const { metadata } = await cluster.api.get(vmisPath(ns, 'a'))
    const watch = await cluster.api.watch(`${vmisPath(ns)}?watch=1&resourceVersion=${metadata.resourceVersion}`)
    cluster.sandboxes.setLink(uid, 'red', 'down')
    while (seen.at(-1) !== 'up' || !seen.includes('down'))
      seen.push(...((await watch.next())?.object.status.interfaces ?? []).map((one: Any) => one.linkState).slice(-1))
    watch.close()
    const [event] = await eventually('the event', async () => {
      const found = await eventsOf(ns, 'LinkDrift')
      return found.length > 0 && found
    })
    assert.equal(event.type, 'Warning')
    assert.equal(
      event.message,
      'The link of interface "red" is down, declared up; it was changed outside Patchbay; putting it back',
    )
    assert.deepEqual(cluster.errors, [])
  })

  it('is only told of, when the VM says so, until its owner declares what was found', async () => {
    const { ns, uid } = await withVm({ 'patchbay.dev/link-drift': 'report' })
    cluster.sandboxes.setLink(uid, 'red', 'down')
    const drifted = await cluster.api.until('drift is told', vmsPath(ns, 'a'), (one) => condition(one, 'LinkDrift'))
    assert.equal(condition(drifted, 'LinkDrift').message, 'link of interface "red" is down, declared up')
    assert.deepEqual(linkStates(await cluster.api.get(vmisPath(ns, 'a'))), ['default up', 'red down'])
    await cluster.api.patch(vmsPath(ns, 'a'), statePatch(['up', 'down']))
    await cluster.api.until('drift is over', vmsPath(ns, 'a'), (one) => !condition(one, 'LinkDrift'))
    await cluster.api.patch(vmsPath(ns, 'a'), statePatch(['up', 'up']))
    await cluster.api.until('the link is up', vmisPath(ns, 'a'), (one) => linkStates(one)[1] === 'red up')
    assert.equal((await eventsOf(ns, 'LinkDrift')).length, 1)
  })

  it('is put back as soon as a VM no longer says that it be only told of', async () => {
    const { ns, uid } = await withVm({ 'patchbay.dev/link-drift': 'report' })
    cluster.sandboxes.setLink(uid, 'red', 'down')
    await cluster.api.until('drift is told', vmsPath(ns, 'a'), (one) => condition(one, 'LinkDrift'))
    await cluster.api.patch(vmsPath(ns, 'a'), { metadata: { annotations: { 'patchbay.dev/link-drift': null } } })
    await cluster.api.until('the link is up', vmisPath(ns, 'a'), (one) => linkStates(one)[1] === 'red up')
  })

  it('an Event names who asked for a change, what the link was and what it is', async () => {
    const { ns } = await withVm()
    await cluster.api.patch(vmsPath(ns, 'a'), statePatch(['up', 'down']))
    const [event] = await eventually('the event', async () => {
      const found = await eventsOf(ns, 'LinkChanged')
      return found.length > 0 && found
    })
    assert.equal(event.message, 'Link of interface "red" changed from up to down, asked for by admin')
    assert.equal(event.involvedObject.kind, 'VirtualMachineInstance')
    await cluster.api.patch(vmsPath(ns, 'a'), { metadata: { labels: { other: 'change' } } })
    assert.equal(
      (await cluster.api.get(vmsPath(ns, 'a'))).metadata.annotations['patchbay.dev/link-changed-by'],
      'admin',
    )
  })
})
