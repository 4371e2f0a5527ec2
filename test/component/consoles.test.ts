import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { Peer } from '#kit/machinery/http/peer.ts'
import { type Any, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, podOf, run, vm } from './manifests.ts'

const pathIn = (ns: string, verb: string, name = 'a', plural = 'virtualmachineinstances') =>
  `/apis/subresources.kubevirt.io/v1/namespaces/${ns}/${plural}/${name}/${verb}`

const as = (user: string, ...groups: string[]) => ({
  headers: { 'impersonate-user': user, ...(groups.length && { 'impersonate-group': groups.join() }) },
})

describe('streams into guests', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a'))
  })
  after(() => cluster?.stop())

  type How = Parameters<typeof Peer.open>[3]
  const open = (verb: string, how?: How, name?: string) =>
    Peer.open(cluster.port, pathIn(ns, verb, name), cluster.keys, how)
  const refused = async (verb: string, how?: How, name?: string, plural?: string) => {
    const { code, text } = await Peer.refusal(cluster.port, pathIn(ns, verb, name, plural), cluster.keys, how)
    return `${code} ${JSON.parse(text).message}`
  }
  const uidOf = async (name: string): Promise<string> => (await podOf(cluster.api, ns, name)).metadata.uid
  /** Lets a user do things with the instances of the namespace. */
  const allow = async (user: string, resources: string[]) => {
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}`
    const rules = [{ apiGroups: ['subresources.kubevirt.io'], resources, verbs: ['get'] }]
    await cluster.api.create(`${rbac}/roles`, { metadata: { name: user }, rules })
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: user }
    const subjects = [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: user }]
    await cluster.api.create(`${rbac}/rolebindings`, { metadata: { name: user }, roleRef, subjects })
  }

  it('a console shows what was printed, and what is typed comes back', async () => {
    await using peer = await open('console', { protocols: ['plain.kubevirt.io'] })
    assert.equal(peer.socket.protocol, 'plain.kubevirt.io')
    await peer.sees(/login: $/)
    peer.type('root\n')
    await peer.sees(/root\n/)
    peer.socket.send('text is no byte')
    peer.type('x')
    await peer.sees(/root\nx$/)
    await using plain = await open('console')
    assert.equal(plain.socket.protocol, '')
    await plain.sees(/root\nx$/)
  })

  it('the newest client types, all of them watch, and the one before types again when it leaves', async () => {
    await using first = await open('console')
    first.type('[one]')
    await first.sees(/\[one\]/)
    const second = await open('console')
    second.type('[two]')
    for (const one of [first, second]) await one.sees(/\[two\]/)
    first.type('[lost]')
    second.type('[three]')
    await first.sees(/\[three\]/)
    assert.doesNotMatch(first.text, /lost/)
    second.close()
    await eventually('it types again', () => {
      first.type('[four]')
      return /\[four\]/.test(first.text)
    })
  })

  it('who may not is refused before the upgrade; the right names the subresource, of a port-forward without its port', async () => {
    const forbidden = await refused('console', as('nobody'))
    assert.match(forbidden, /^403 .*User "nobody" cannot get resource "virtualmachineinstances\/console"/)
    await allow('watcher', ['virtualmachineinstances/console'])
    await (await open('console', as('watcher')))[Symbol.asyncDispose]()
    for (const verb of ['vnc', 'vnc/screenshot', 'portforward/7', 'portforward/7/udp'])
      assert.match(
        await refused(verb, as('watcher')),
        new RegExp(`^403 .*virtualmachineinstances/${verb.replace(/\/7.*/, '')}"`),
      )
    await allow('forwarder', ['virtualmachineinstances/portforward'])
    await (await open('portforward/7/tcp', as('forwarder')))[Symbol.asyncDispose]()
    assert.match(await refused('portforward/7/tcp', as('forwarder'), 'a', 'virtualmachines'), /^403 /)
    const { code } = await Peer.refusal(cluster.port, pathIn(ns, 'console'), { ca: cluster.keys.ca })
    assert.equal(code, 401)
  })

  it('KubeVirt’s roles allow it: admin and edit all but the screenshot of edit, view nothing', async () => {
    const subjects = (user: string) => [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: user }]
    for (const name of ['admin', 'edit', 'view'])
      await cluster.api.create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/rolebindings`, {
        metadata: { name },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: `kubevirt.io:${name}` },
        subjects: subjects(name),
      })
    const may = async (user: string) => {
      const all = ['console', 'vnc', 'vnc/screenshot', 'portforward'].map(async (subresource) => {
        const resourceAttributes = {
          ...{ namespace: ns, verb: 'get', group: 'subresources.kubevirt.io' },
          ...{ resource: 'virtualmachineinstances', subresource },
        }
        const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews'
        return (await cluster.api.create(path, { spec: { user, resourceAttributes } })).status.allowed
      })
      return Promise.all(all)
    }
    assert.deepEqual(await may('admin'), [true, true, true, true])
    assert.deepEqual(await may('edit'), [true, true, false, true])
    assert.deepEqual(await may('view'), [false, false, false, false])
  })

  it('a browser’s token comes as a subprotocol and is not sent back', async () => {
    const path = `/api/v1/namespaces/${ns}/serviceaccounts`
    await cluster.api.create(path, { metadata: { name: 'page' } })
    const { status } = await cluster.api.create(`${path}/page/token`, { spec: {} })
    await allow(`system:serviceaccount:${ns}:page`, ['virtualmachineinstances/console'])
    const bearer = (token: string) =>
      `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`
    const { ca } = cluster.keys
    const opening = (...protocols: string[]) => [cluster.port, pathIn(ns, 'console'), { ca }, { protocols }] as const
    await using peer = await Peer.open(...opening(bearer(status.token), 'plain.kubevirt.io'))
    assert.equal(peer.socket.protocol, 'plain.kubevirt.io')
    await peer.sees(/login: /)
    for (const wrong of [[bearer('made up'), 'plain.kubevirt.io'], [bearer(status.token)]])
      assert.equal((await Peer.refusal(...opening(...wrong))).code, 401, String(wrong[0]))
  })

  it('a page of another site cannot use the certificate of a browser’s user; one with a token can be anywhere', async () => {
    const own = `https://127.0.0.1:${cluster.port}`
    await (await open('console', { headers: { origin: own } }))[Symbol.asyncDispose]()
    for (const origin of ['https://evil.example', 'null', `https://127.0.0.1:${cluster.port + 1}`, ''])
      assert.match(await refused('console', { headers: { origin } }), /^401 /)
    const path = `/api/v1/namespaces/${ns}/serviceaccounts/page/token`
    const { status } = await cluster.api.create(path, { spec: {} })
    const headers = { origin: 'https://elsewhere.example', authorization: `Bearer ${status.token}` }
    await (await open('console', { headers }))[Symbol.asyncDispose]()
  })

  it('what has no console, screen or port is refused in KubeVirt’s words', async () => {
    assert.equal(await refused('console', {}, 'b'), '404 virtualmachineinstance.kubevirt.io "b" not found')
    const waiting = vm('waiting')
    waiting.spec.template.spec.domain.firmware.kernelBoot.container.image = 'missing'
    await cluster.api.create(vmsPath(ns), waiting)
    await cluster.api.until('an instance', vmisPath(ns, 'waiting'), (vmi) => vmi?.status?.phase)
    for (const verb of ['console', 'vnc', 'portforward/7'])
      assert.equal(await refused(verb, {}, 'waiting'), '400 VMI is not running')
    const vmForward = await refused('portforward/7', {}, 'waiting', 'virtualmachines')
    assert.match(vmForward, /^409 .*: VMI is not started$/)
    const without = vm('without')
    Object.assign(without.spec.template.spec.domain.devices, {
      ...{ autoattachSerialConsole: false, autoattachGraphicsDevice: false },
    })
    await run(cluster.api, ns, without)
    assert.equal(await refused('console', {}, 'without'), '400 No serial consoles are present.')
    assert.equal(await refused('vnc', {}, 'without'), '400 No graphics devices are present.')
    const plain = await cluster.api.send('GET', pathIn(ns, 'console'))
    assert.deepEqual([plain.code, plain.json.reason], [400, 'BadRequest'])
    assert.match(plain.json.message, /must open a WebSocket/)
    assert.equal((await cluster.api.send('PUT', pathIn(ns, 'console'))).code, 405)
    assert.equal((await cluster.api.send('GET', pathIn(ns, 'console/more'))).code, 404)
  })

  it('a port is dialled before the upgrade, tcp and udp', async () => {
    for (const verb of ['portforward/7', 'portforward/7/tcp', 'portforward/7/udp']) {
      await using peer = await open(verb)
      peer.type('ping')
      await peer.sees(/^ping$/)
    }
    await using throughVm = await Peer.open(
      cluster.port,
      pathIn(ns, 'portforward/7', 'a', 'virtualmachines'),
      cluster.keys,
    )
    throughVm.type('hello')
    await throughVm.sees(/^hello$/)
    assert.match(
      await refused('portforward/9'),
      /^500 dialing VM: tcp port 9 of the simulated guest cannot be reached$/,
    )
    for (const [verb, why] of [
      ['portforward/0', /^400 the port "0" is no number from 1 to 65535$/],
      ['portforward/7/sctp', /^400 the protocol "sctp" is neither tcp nor udp$/],
    ] as const)
      assert.match(await refused(verb), why)
    assert.equal((await cluster.api.send('PUT', pathIn(ns, 'pause'), { body: {} })).code, 200)
    assert.match(await refused('portforward/7'), /^409 .*: VMI is paused$/)
    assert.equal((await cluster.api.send('PUT', pathIn(ns, 'unpause'), { body: {} })).code, 200)
  })

  it('a second look at a screen ends the first, unless it wants to leave it; a picture of it is PNG', async () => {
    const first = await open('vnc')
    await first.sees(/^RFB 003.008\n$/)
    assert.equal(await refused('vnc?preserveSession=true'), '503 Active VNC connection. Request denied.')
    await using second = await open('vnc')
    await second.sees(/^RFB/)
    assert.equal((await first.ends()).code, 1000)
    const { code, headers, bytes } = await cluster.api.send('GET', pathIn(ns, 'vnc/screenshot?moveCursor=true'))
    assert.deepEqual([code, headers['content-type'], bytes.subarray(1, 4).toString()], [200, 'image/png', 'PNG'])
  })

  it('it is written down who opened a console, when they open it, and who might not', async () => {
    await using peer = await open('console', as('watcher'))
    await peer.sees(/./)
    const lineOf = (user: string, code: number) =>
      eventually('a line', async () =>
        (await readFile(cluster.dir.audit, 'utf8'))
          .split('\n')
          .filter((text) => text.includes(`"as":"${user}"`) && text.includes(`"code":${code}`))
          .at(-1),
      )
    assert.match(await lineOf('nobody', 403), /"subresource":"console"/)
    const { verb, resource, subresource, name, code } = JSON.parse(await lineOf('watcher', 101))
    assert.deepEqual([verb, resource, subresource, name, code], ['get', 'virtualmachineinstances', 'console', 'a', 101])
  })

  it('a console follows its guest when it is moved, and ends with it', async () => {
    await run(cluster.api, ns, vm('mover'))
    await using peer = await open('console', {}, 'mover')
    await peer.sees(/login: /)
    const from = await uidOf('mover')
    await cluster.api.create(`/apis/kubevirt.io/v1/namespaces/${ns}/virtualmachineinstancemigrations`, {
      metadata: { name: 'm' },
      spec: { vmiName: 'mover' },
    })
    const vmi = await cluster.api.until(
      'it is moved',
      vmisPath(ns, 'mover'),
      (one: Any) => one?.status?.migrationState?.completed,
    )
    const pod = await cluster.api.get(`/api/v1/namespaces/${ns}/pods/${vmi.status.migrationState.targetPod}`)
    assert.notEqual(pod.metadata.uid, from)
    cluster.sandboxes.streams.print(pod.metadata.uid, '[arrived]')
    await peer.sees(/\[arrived\]/)
    peer.type('[typed there]')
    await peer.sees(/\[typed there\]/)
    await cluster.api.patch(vmsPath(ns, 'mover'), { spec: { runStrategy: 'Halted' } })
    assert.equal((await peer.ends()).code, 1000)
  })

  it('nothing of it is a bug of ours', () => assert.deepEqual(cluster.errors, []))
})

describe('what streams into guests may take', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster({ limits: { requestTimeoutMs: 1500, watches: 40 } })
    ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a'))
  })
  after(() => cluster?.stop())
  const open = () => Peer.open(cluster.port, pathIn(ns, 'console'), cluster.keys)

  it('a viewer that never reads is cut, and others see everything meanwhile', async () => {
    await using good = await open()
    const bad = await open()
    for (const one of [good, bad]) await one.sees(/login: /)
    bad.socket.pause()
    const before = good.byteLength
    const uid = (await podOf(cluster.api, ns, 'a')).metadata.uid
    const piece = 'x'.repeat(64 * 1024)
    const pieces = 300
    for (let i = 0; i < pieces; i++) {
      cluster.sandboxes.streams.print(uid, piece)
      if (i % 10 === 9) await eventually('it has come', () => good.byteLength >= before + (i + 1) * piece.length)
    }
    assert.equal(good.byteLength, before + pieces * piece.length)
    // It cannot notice before it reads.
    await eventually('it is cut', () => {
      bad.socket.resume()
      return bad.end?.code === 1006 || bad.end?.code === 1001
    })
    assert.ok(bad.byteLength < good.byteLength)
  })

  it('they count as watches, and more of them are refused', async () => {
    const peers: Peer[] = []
    try {
      const refusal = await eventually('one too many', async () => {
        try {
          peers.push(await open())
          return undefined
        } catch (error) {
          return error as Any
        }
      })
      assert.equal(refusal.code, 429)
      assert.match(refusal.text, /too many watches are open/)
    } finally {
      for (const one of peers) await one[Symbol.asyncDispose]()
    }
  })

  it('a server that stops says so', async () => {
    const peer = await open()
    await peer.sees(/./)
    await cluster.stop()
    assert.deepEqual(await peer.ends(), { code: 1001, reason: 'the server stops' })
  })
})
