import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { Kubectl, kubectlLacks, noKubectl } from './kubectl.ts'
import { makeNamespace, run, vm } from './manifests.ts'

describe('events, through kubectl', { skip: noKubectl }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  /** A namespace in which a VM has been started and told of. */
  async function withEvents(): Promise<{ k: Kubectl; ns: string }> {
    const ns = await makeNamespace(cluster.api)
    const k = new Kubectl(cluster.dir, ns)
    await run(cluster.api, ns, vm('a'))
    await eventually('three events', async () => (await k.ok('get events -o name')).trim().split('\n').length === 3)
    return { k, ns }
  }
  const event = (ns: string, over: object = {}) => ({
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: 'mine' },
    regarding: { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', name: 'a', namespace: ns },
    reason: 'Tested',
    note: 'hello',
    type: 'Warning',
    action: 'Testing',
    eventTime: '2026-01-02T03:04:05.000000Z',
    reportingController: 'tester',
    reportingInstance: 'tester-1',
    ...over,
  })

  it('are the same in both of their API groups', async () => {
    const { k } = await withEvents()
    const both = ['events', 'events.events.k8s.io']
    const [core, own] = await Promise.all(both.map(async (one) => (await k.ok(`get ${one}`)).replace(/^\d+\w+/gm, '')))
    assert.equal(own, core)
    const uids = (one: string) => k.ok(`get ${one} -o jsonpath={.items[*].metadata.uid}`)
    assert.equal(await uids('events.events.k8s.io'), await uids('events'))
    const [first] = JSON.parse(
      await k.ok('get events.events.k8s.io --field-selector regarding.kind=VirtualMachine -o json'),
    ).items
    assert.deepEqual(
      [first.apiVersion, first.note, first.regarding.name, first.deprecatedCount, first.involvedObject],
      [
        'events.k8s.io/v1',
        'Started the virtual machine by creating the new virtual machine instance a',
        'a',
        1,
        undefined,
      ],
    )
    assert.match(
      await k.ok('api-resources --api-group=events.k8s.io --no-headers'),
      /^events +events.k8s.io\/v1 +true +Event$/m,
    )
    assert.match(await k.ok('explain events --api-version=events.k8s.io/v1'), /^ {2}regarding\t<Object>/m)
    assert.match(await k.ok('explain events'), /^ {2}involvedObject\t<Object>/m)
  })

  it('are written through the newer group as well', async () => {
    const { k, ns } = await withEvents()
    const { uid } = (await cluster.api.get(vmsPath(ns, 'a'))).metadata
    const full = event(ns, { regarding: { ...event(ns).regarding, uid } })
    assert.equal(await k.ok('create -f -', { input: full }), 'event.events.k8s.io/mine created\n')
    assert.match(await k.ok('get events mine --no-headers'), /^\S+ +Warning +Tested +virtualmachine\/a +hello$/m)
    const more = ['-p', '{"note":"bye"}']
    assert.equal(
      await k.ok('patch events.events.k8s.io mine --type=merge', { more }),
      'event.events.k8s.io/mine patched\n',
    )
    assert.equal(await k.ok('get events mine -o jsonpath={.message}'), 'bye')
    assert.match(await k.ok('describe vm a'), /^ {2}Warning +Tested +\S+ +tester +bye$/m)
    const { action: _, eventTime: _t, ...bare } = event(ns)
    const input = { ...bare, metadata: { name: 'bare' }, message: 'x' }
    assert.match(await k.fails('create -f -', { input }), /strict decoding error: unknown field "message"/)
    assert.match(
      await k.fails('create --validate=false -f -', { input }),
      /^The Event "bare" is invalid: \n\* action: Required value\n\* eventTime: Required value$/m,
    )
    assert.equal(await k.ok('delete events.events.k8s.io mine'), `event.events.k8s.io "mine" deleted\n`)
    assert.match(await k.fails('get events mine'), /^Error from server \(NotFound\): events "mine" not found$/m)
  })

  it('are listed by the command of their own', { skip: kubectlLacks('events') }, async () => {
    const { k } = await withEvents()
    const own = await k.ok('events --for vm/a --no-headers')
    assert.match(
      own,
      /^\S+ +Normal +SuccessfulCreate +VirtualMachine\/a +Started the virtual machine by creating .* a\n$/,
    )
    assert.match(await k.ok('events'), /^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n(.*\n){3}$/)
    assert.match((await k.run(['events', '--types=Warning'])).err, /^No events found in t\d+ namespace\.$/m)
    assert.match(await k.ok('events --for vmi/a --types=Normal'), /VirtualMachineInstance started\./)
  })

  it('are followed while they come', { skip: kubectlLacks('events') }, async () => {
    const { k, ns } = await withEvents()
    const watches = [
      k.start('events --for vm/a --watch'),
      k.start('get events.events.k8s.io --watch-only --no-headers'),
    ]
    try {
      await eventually('the first', () => watches[0]!.lines.some((line) => line.includes('SuccessfulCreate')))
      for (const [i, { lines }] of watches.entries())
        await eventually('the next', async () => {
          await k.run(['create', '-f', '-'], { input: event(ns, { metadata: { generateName: `n${i}-` } }) })
          return lines.some((line) => /Warning +Tested +virtualmachine\/a +hello$/i.test(line))
        })
    } finally {
      await Promise.all(watches.map((watch) => watch.stop()))
    }
    assert.deepEqual(cluster.errors, [])
  })
})
