import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, type Ground, makeGround, startOn } from './cluster.ts'
import { Kubectl, noKubectl } from './kubectl.ts'
import { condition, makeNamespace, run, running, vm } from './manifests.ts'

const quotasPath = (ns: string, name = '') => `/api/v1/namespaces/${ns}/resourcequotas${name && `/${name}`}`
const mapsPath = (ns: string, name = '') => `/api/v1/namespaces/${ns}/configmaps${name && `/${name}`}`
const quota = (name: string, hard: Any, over: Any = {}) => ({ metadata: { name }, spec: { hard, ...over } })
const map = (name: string, data: Any = {}) => ({ metadata: { name }, data })
const pod = (name: string, resources: Any = {}) => ({
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'i', resources }] },
})

describe('a ResourceQuota', () => {
  let ground: Ground
  let cluster: Cluster
  before(async () => {
    ground = await makeGround()
    cluster = await startOn(ground)
  })
  after(async () => {
    await cluster?.stop()
    await ground?.remove()
  })
  const used = (ns: string, name: string, wanted: Any) =>
    cluster.api.until(`${name} says what is used`, quotasPath(ns, name), (one) =>
      Object.entries(wanted).every(([resource, amount]) => one.status?.used?.[resource] === amount),
    )
  const refusal = async (path: string, body: unknown) => {
    const { code, json } = await cluster.api.send('POST', path, { body })
    assert.equal(code, 403, JSON.stringify(json))
    return json.message as string
  }

  it('refuses what exceeds it in Kubernetes’ words, lists what is exceeded in order, and charges nothing for it', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(quotasPath(ns), quota('q', { pods: 2, 'requests.memory': '1Gi', 'limits.cpu': '2' }))
    const asked = { requests: { memory: '512Mi' }, limits: { cpu: '500m', memory: '1Gi' } }
    await cluster.api.create(podsPath(ns), pod('a', asked))
    await cluster.api.create(podsPath(ns), pod('b', asked))
    await used(ns, 'q', { pods: '2', 'requests.memory': '1Gi', 'limits.cpu': '1' })
    assert.equal(
      await refusal(podsPath(ns), pod('x', asked)),
      'pods "x" is forbidden: exceeded quota: q, requested: pods=1,requests.memory=512Mi, used: pods=2,requests.memory=1Gi, limited: pods=2,requests.memory=1Gi',
    )
    assert.equal(
      await refusal(podsPath(ns), pod('x')),
      'pods "x" is forbidden: failed quota: q: must specify limits.cpu for: c; requests.memory for: c',
    )
    assert.match(await refusal(`${podsPath(ns)}?dryRun=All`, pod('x', asked)), /exceeded quota/)
    await cluster.api.delete(podsPath(ns, 'a'))
    await cluster.api.send('POST', `${podsPath(ns)}?dryRun=All`, { body: pod('c', asked) })
    await cluster.api.create(podsPath(ns), pod('c', asked))
    await cluster.api.patch(`${podsPath(ns, 'c')}/status`, { status: { phase: 'Succeeded' } })
    await used(ns, 'q', { pods: '1', 'requests.memory': '512Mi', 'limits.cpu': '500m' })
    assert.deepEqual((await cluster.api.get(quotasPath(ns, 'q'))).status.hard, {
      pods: '2',
      'requests.memory': '1Gi',
      'limits.cpu': '2',
    })
  })

  it('counts objects of any kind, by both names, itself included', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(mapsPath(ns), map('old'))
    await cluster.api.create(
      quotasPath(ns),
      quota('q', {
        configmaps: '2',
        'count/configmaps': '5',
        resourcequotas: '1',
        'count/virtualmachines.kubevirt.io': '0',
      }),
    )
    await cluster.api.create(mapsPath(ns), map('new'))
    await used(ns, 'q', { configmaps: '2', 'count/configmaps': '2', resourcequotas: '1' })
    assert.match(
      await refusal(mapsPath(ns), map('x')),
      /^configmaps "x" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2$/,
    )
    assert.match(
      await refusal(vmsPath(ns), vm('x')),
      /^virtualmachines\.kubevirt\.io "x" is forbidden: exceeded quota: q, requested: count\/virtualmachines\.kubevirt\.io=1, used: count\/virtualmachines\.kubevirt\.io=0, limited: count\/virtualmachines\.kubevirt\.io=0$/,
    )
    assert.match(await refusal(quotasPath(ns), quota('r', {})), /exceeded quota: q, requested: resourcequotas=1/)
    await cluster.api.patch(mapsPath(ns, 'new'), { data: { a: 'longer' } })
  })

  it('is never exceeded by creates that come at once, and every place is given away', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(quotasPath(ns), quota('q', { configmaps: 37 }))
    const codes = await Promise.all(
      Array.from({ length: 200 }, (_, i) => cluster.api.send('POST', mapsPath(ns), { body: map(`m${i}`) })),
    )
    assert.equal(codes.filter(({ code }) => code === 201).length, 37)
    assert.equal(codes.filter(({ code }) => code === 403).length, 163)
    assert.equal((await cluster.api.list(mapsPath(ns))).length, 37)
    // Deleting and creating at once: never more than there may be.
    const maps = await cluster.api.list(mapsPath(ns))
    await Promise.all([
      ...maps.slice(0, 20).map(({ metadata }) => cluster.api.delete(mapsPath(ns, metadata.name))),
      ...Array.from({ length: 100 }, (_, i) => cluster.api.send('POST', mapsPath(ns), { body: map(`n${i}`) })),
    ])
    assert.ok((await cluster.api.list(mapsPath(ns))).length <= 37)
    const left = (await cluster.api.list(mapsPath(ns))).length
    await used(ns, 'q', { configmaps: String(left) })
  })

  it('says what it cannot limit', async () => {
    const ns = await makeNamespace(cluster.api)
    const why = async (hard: Any, over: Any = {}) => {
      const { code, json } = await cluster.api.send('POST', quotasPath(ns), { body: quota('q', hard, over) })
      assert.equal(code, 422, JSON.stringify(json))
      return json.message as string
    }
    assert.equal(
      await why({ fish: '1' }),
      'ResourceQuota "q" is invalid: [spec.hard[fish]: Invalid value: "fish": must be a standard resource type or fully qualified, spec.hard[fish]: Invalid value: "fish": must be a standard resource for quota]',
    )
    for (const name of ['services', 'limits.storage', 'count/deployments.apps', 'requests.nvidia.com/gpu'])
      assert.match(
        await why({ [name]: '1' }),
        /Unsupported value: .* nothing is served that this could limit; supported values: "pods"/,
      )
    assert.match(
      await why({ pods: '-1' }),
      /spec\.hard\[pods\]: Invalid value: "-1": must be greater than or equal to 0/,
    )
    assert.match(await why({ pods: '1500m' }), /must be an integer/)
    assert.match(
      await why({ memory: 'much' }),
      /^ResourceQuota "q" is invalid: spec.hard.memory: Invalid value: "much": .* should match /,
    )
    assert.match(await why({}, { scopes: ['BestEffort'] }), /spec\.scopes: Forbidden: scopes are not supported/)
    assert.match(
      await why({}, { scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'Exists' }] } }),
      /spec\.scopeSelector: Forbidden: scopes are not supported/,
    )
  })

  it('that leaves no room for the pod of a VM is told by the VM, which starts by itself once there is room', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(quotasPath(ns), quota('q', { pods: 1, 'requests.memory': '1Gi', 'requests.cpu': '1' }))
    await run(cluster.api, ns, vm('a'))
    await cluster.api.create(vmsPath(ns), vm('b'))
    const seen = await cluster.api.until('b says why', vmsPath(ns, 'b'), (one) => condition(one, 'Synchronized'))
    const { status, reason, message } = condition(seen, 'Synchronized')
    assert.deepEqual([status, reason], ['False', 'FailedCreate'])
    assert.match(
      message,
      /^failed to create virtual machine pod: pods "virt-launcher-b-\w{5}" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1$/,
    )
    assert.equal(seen.status.printableStatus, 'Starting')
    await eventually('an Event tells', async () =>
      (await cluster.api.list(`/api/v1/namespaces/${ns}/events`)).some(
        (event) => event.reason === 'FailedCreate' && /^Error creating pod: pods /.test(event.message),
      ),
    )
    await cluster.api.delete(vmsPath(ns, 'a'))
    await running(cluster.api, ns, 'b')
    assert.equal(condition(await cluster.api.get(vmisPath(ns, 'b')), 'Synchronized'), undefined)
    await used(ns, 'q', { pods: '1', 'requests.memory': '229632Ki', 'requests.cpu': '100m' })
    // More room by a larger quota does as well.
    await cluster.api.create(vmsPath(ns), vm('c'))
    await cluster.api.until('c waits', vmisPath(ns, 'c'), (one) => condition(one, 'Synchronized'))
    await cluster.api.patch(quotasPath(ns, 'q'), { spec: { hard: { pods: '2' } } })
    await running(cluster.api, ns, 'c')
    assert.deepEqual(cluster.errors, [])
  })

  it('that leaves no room for an instance is told by its VM, which starts by itself once there is room', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(quotasPath(ns), quota('q', { 'count/virtualmachineinstances.kubevirt.io': 0 }))
    await cluster.api.create(vmsPath(ns), vm('a'))
    const seen = await cluster.api.until('a says why', vmsPath(ns, 'a'), (one) => condition(one, 'Failure'))
    assert.equal(condition(seen, 'Failure').reason, 'FailedCreate')
    assert.match(
      condition(seen, 'Failure').message,
      /^failure while starting VMI: virtualmachineinstances\.kubevirt\.io "a" is forbidden: exceeded quota: q/,
    )
    await cluster.api.delete(quotasPath(ns, 'q'))
    await running(cluster.api, ns, 'a')
    await cluster.api.until('healed', vmsPath(ns, 'a'), (one) => !condition(one, 'Failure'))
  })

  it('is counted anew after a restart', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(quotasPath(ns), quota('q', { configmaps: 2 }))
    await cluster.api.create(mapsPath(ns), map('a'))
    await cluster.stop()
    cluster = await startOn(ground)
    await cluster.api.create(mapsPath(ns), map('b'))
    await refusal(mapsPath(ns), map('c'))
    await used(ns, 'q', { configmaps: '2' })
  })

  it('is written by administrators alone, and read by everybody who may look', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(quotasPath(ns), quota('q', { pods: 1 }))
    for (const role of ['view', 'edit', 'admin']) {
      await cluster.api.create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/rolebindings`, {
        metadata: { name: role },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
        subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: `${role}-of-${ns}` }],
      })
      const user = await cluster.as(`${role}-of-${ns}`, [])
      assert.equal((await user.list(quotasPath(ns))).length, 1)
      assert.equal((await user.send('POST', quotasPath(ns), { body: quota('r', {}) })).code, 403)
      assert.equal((await user.send('DELETE', quotasPath(ns, 'q'))).code, 403)
    }
  })

  it('is made, listed and described by kubectl', { skip: noKubectl }, async () => {
    const ns = await makeNamespace(cluster.api)
    const kubectl = new Kubectl(cluster.dir, ns)
    const made = await kubectl.run(['create', 'quota', 'q', '--hard=pods=3,limits.memory=2048Mi,count/configmaps=4'])
    assert.equal(made.code, 0, made.err)
    await used(ns, 'q', { pods: '0' })
    const { out } = await kubectl.run(['get', 'quota', 'q'])
    assert.match(
      out,
      /^NAME +REQUEST +LIMIT +AGE\nq +count\/configmaps: 0\/4, pods: 0\/3 +limits\.memory: 0\/2Gi +\d+s\n$/,
    )
    const described = await kubectl.run(['describe', 'quota', 'q'])
    assert.match(
      described.out,
      /Resource +Used +Hard\n-+ +-+ +-+\ncount\/configmaps +0 +4\nlimits\.memory +0 +2Gi\npods +0 +3\n/,
    )
    const refused = await kubectl.run(['create', 'quota', 'r', '--hard=pods=3', '--scopes=BestEffort'])
    assert.match(refused.err, /scopes are not supported/)
  })
})
