import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, nadsPath, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, type Ground, makeGround, startOn } from './cluster.ts'
import { makeNamespace, nad, podOf, run, vm } from './manifests.ts'

/** Soon enough for a test to see several rounds. */
const resyncMs = 100

describe('a sandbox without a pod', () => {
  let ground: Ground
  before(async () => {
    ground = await makeGround()
  })
  after(() => ground.remove())

  async function during(options: Parameters<typeof startOn>[1], work: (cluster: Cluster) => Promise<void>) {
    const cluster = await startOn(ground, { resyncMs, ...options })
    try {
      await work(cluster)
      assert.deepEqual(cluster.errors, [])
    } finally {
      await cluster.stop()
    }
  }
  const make = async (name: string, owner: { node: string; cluster: string; revision?: string }) => {
    const uid = randomUUID()
    await ground.sandboxes.ensure({ uid, namespace: 'default', name, owner, domain: '', attachments: [] })
    return uid
  }
  const has = async (uid: string) => (await ground.sandboxes.list()).some((one) => one.uid === uid)
  const isGone = (uid: string) => eventually(`${uid} is gone`, async () => !(await has(uid)))
  const reported = async ({ api }: Cluster, reason: string, uid: string): Promise<Any> =>
    eventually(`an Event ${reason} about ${uid}`, async () =>
      (await api.list('/api/v1/namespaces/default/events')).find(
        (event) => event.reason === reason && event.involvedObject.kind === 'Node' && event.message.includes(uid),
      ),
    )

  it('is removed once a list of its own cluster shows that its pod is gone', () =>
    during({}, async ({ cluster }) => {
      const uid = await make('stray', { node: 'node1', cluster })
      await isGone(uid)
    }))

  it('of another cluster, of another node, or of none is left alone, and reported once', () =>
    during({}, async (cluster) => {
      const strangers = [
        await make('elsewhere', { node: 'node1', cluster: randomUUID() }),
        await make('renamed', { node: 'node9', cluster: cluster.cluster }),
        await make('nobody', { node: 'node1', cluster: cluster.cluster }),
      ] as const
      await ground.sandboxes.disown(strangers[2])
      const events = await Promise.all(strangers.map((uid) => reported(cluster, 'SandboxLeft', uid)))
      assert.match(
        events[0].message,
        /was made for another cluster .*: its guest goes on; patchbay down ends all guests/,
      )
      assert.match(events[1].message, /was made for another node \(node9\)/)
      assert.match(events[2].message, /does not say which cluster it was made for/)
      // What comes and goes afterwards shows that a whole round has passed over them.
      for (let round = 0; round < 2; round++)
        await isGone(await make('stray', { node: 'node1', cluster: cluster.cluster }))
      for (const [i, uid] of strangers.entries()) {
        assert.ok(await has(uid), events[i].message)
        assert.equal((await reported(cluster, 'SandboxLeft', uid)).count, 1)
        await ground.sandboxes.remove(uid)
      }
    }))

  it('that is younger than its store is left alone, also when the store has grown', async () => {
    let uid = ''
    await during({}, async (cluster) => {
      uid = await make('young', { node: 'node1', cluster: cluster.cluster, revision: '1000000' })
      const { message } = await reported(cluster, 'SandboxLeft', uid)
      assert.match(message, /was made after the last change in the store, which is an older copy/)
      assert.equal((await ground.sandboxes.list()).find((one) => one.uid === uid)?.owner, undefined)
    })
    await during({}, async (cluster) => {
      await isGone(await make('stray', { node: 'node1', cluster: cluster.cluster }))
      assert.ok(await has(uid))
      await ground.sandboxes.remove(uid)
    })
  })

  it('that cannot be removed keeps neither the server nor another sandbox, and is reported', async () => {
    let uid = ''
    await during({ agent: false }, async ({ cluster }) => {
      uid = await make('undeletable', { node: 'node1', cluster })
    })
    await during({}, async (cluster) => {
      const { message } = await eventually('it is reported', async () =>
        (await cluster.api.list('/api/v1/namespaces/default/events')).find((one) => one.reason === 'FailedKillPod'),
      )
      assert.match(message, /undeletable cannot be removed, and is tried again: A network cannot be given back/)
      await isGone(await make('stray', { node: 'node1', cluster: cluster.cluster }))
      await run(cluster.api, 'default', vm('beside'))
      assert.ok(await has(uid))
      await cluster.api.delete(vmsPath('default', 'beside'))
      await cluster.api.until('it is gone', vmsPath('default', 'beside'), (one) => one === undefined)
    })
  })

  it('goes soon when its pod was taken away by force', () =>
    during({ resyncMs: 600_000 }, async ({ api }) => {
      await run(api, 'default', vm('forced', [], { runStrategy: 'RerunOnFailure' }))
      const { metadata } = await podOf(api, 'default', 'forced')
      await api.patch(podsPath('default', metadata.name), { metadata: { finalizers: null } })
      await api.delete(podsPath('default', metadata.name))
      await isGone(metadata.uid)
      await api.delete(vmsPath('default', 'forced'))
      await api.until('the VM is gone', vmsPath('default', 'forced'), (one) => one === undefined)
    }))

  it('goes on when the host comes back as another node', async () => {
    let uid = ''
    await during({}, async ({ api }) => {
      await run(api, 'default', vm('old'))
      uid = (await podOf(api, 'default', 'old')).metadata.uid
    })
    await during({ node: 'node2' }, async (cluster) => {
      assert.match((await reported(cluster, 'SandboxLeft', uid)).message, /another node \(node1\)/)
      await isGone(await make('stray', { node: 'node2', cluster: cluster.cluster }))
      assert.ok(await ground.sandboxes.host.processes.has(uid))
      assert.equal(ground.sandboxes.starts(uid), 1)
    })
  })
})

describe('a guest that is to stop', () => {
  let ground: Ground
  let cluster: Cluster
  before(async () => {
    ground = await makeGround()
    cluster = await startOn(ground, { resyncMs })
  })
  after(async () => {
    await cluster?.stop()
    await ground.remove()
  })

  /** A VM with a grace period. */
  const graceful = (name: string, seconds: number): Any => {
    const made = vm(name)
    made.spec.template.spec.terminationGracePeriodSeconds = seconds
    return made
  }

  it('is let run while its hypervisor cannot be asked, and says so, until its grace period is over', async () => {
    const ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, graceful('deaf-a', 3600))
    const { uid } = (await podOf(cluster.api, ns, 'deaf-a')).metadata
    await cluster.api.delete(vmsPath(ns, 'deaf-a'))
    await cluster.api.until('it says so', vmisPath(ns, 'deaf-a'), (one) =>
      one.status.conditions.some((each: Any) => each.type === 'Synchronized' && each.reason === 'FailedKillPod'),
    )
    assert.ok(await cluster.sandboxes.host.processes.has(uid))
    cluster.sandboxes.endGuest(uid, 'shutdown')
    await cluster.api.until('it is gone', vmsPath(ns, 'deaf-a'), (one) => one === undefined)
  })

  it('is ended by its process after its grace period, when its hypervisor still does not answer', async () => {
    const ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, graceful('deaf-b', 1))
    await cluster.api.delete(vmsPath(ns, 'deaf-b'))
    await cluster.api.until('it is gone', vmsPath(ns, 'deaf-b'), (one) => one === undefined)
  })

  it('is asked to, though its sandbox cannot be made whole any more', async () => {
    const ns = await makeNamespace(cluster.api, ['red'])
    const made = vm('a', [{ name: 'red' }], { runStrategy: 'Manual' })
    const { template } = made.spec
    template.spec.domain.devices.interfaces.shift()
    template.spec.networks.shift()
    template.spec.networks[0].multus.default = true
    await cluster.api.create(vmsPath(ns), { ...made, spec: { ...made.spec, runStrategy: 'Always' } })
    await cluster.api.until('it runs', vmisPath(ns, 'a'), (one) => one?.status?.phase === 'Running')
    const { uid } = (await podOf(cluster.api, ns, 'a')).metadata
    await cluster.api.patch(nadsPath(ns, 'red'), { spec: nad('red', { note: 'sim-fail' }).spec })
    await cluster.sandboxes.release(uid, ['red'])
    await cluster.api.until('its sandbox cannot be made', vmisPath(ns, 'a'), (one) =>
      one.status.conditions.some((each: Any) => each.type === 'Synchronized' && each.reason === 'FailedSandbox'),
    )
    const watch = await cluster.api.watch(`${vmisPath(ns)}?watch=1`)
    try {
      await cluster.api.patch(vmsPath(ns, 'a'), { spec: { runStrategy: 'Halted' } })
      let last: Any
      for (let line = await watch.next(); line && line.type !== 'DELETED'; line = await watch.next()) last = line.object
      // One that was killed would have been "destroyed".
      assert.match(JSON.stringify(last.status.conditions), /The guest ended: shutdown/)
    } finally {
      watch.close()
    }
  })
})
