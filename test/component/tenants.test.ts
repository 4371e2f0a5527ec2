import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, type Api, nadsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, makeGround, startCluster, startOn } from './cluster.ts'
import { makeNamespace, nad, run, vm } from './manifests.ts'

const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces'
const networks = '/spec/template/spec/networks'

/** Gives users a ClusterRole in a namespace; resolves once the server goes by it. */
async function bind(cluster: Cluster, namespace: string, role: string, users: readonly string[]): Promise<void> {
  await cluster.api.create(`${rbac}/${namespace}/rolebindings`, {
    metadata: { name: role.replaceAll(':', '-') },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: users.map((name) => ({ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name })),
  })
  for (const user of users) {
    const api = await cluster.as(user, [])
    await eventually(`${user} has ${role}`, async () => (await api.send('GET', vmsPath(namespace))).code === 200)
  }
}

const vmi = (name: string, network: string): Any => {
  const { spec } = vm(name, [{ name: 'red', nad: network }]).spec.template
  return { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance', metadata: { name }, spec }
}

describe('a network of another namespace', () => {
  let cluster: Cluster
  let own: string
  let other: string
  let jane: Api
  before(async () => {
    cluster = await startCluster()
    own = await makeNamespace(cluster.api, ['red'])
    other = await makeNamespace(cluster.api, ['private'])
    await bind(cluster, own, 'edit', ['jane'])
    jane = await cluster.as('jane', [])
  })
  after(() => cluster?.stop())

  const refused = ({ code, json }: { code: number; json: Any }, field: string, name = `${other}/private`) => {
    assert.equal(code, 422, JSON.stringify(json))
    assert.deepEqual(
      json.details.causes.map((cause: Any) => [cause.field, cause.reason]),
      [[field, 'FieldValueForbidden']],
    )
    const [namespace, plain] = name.split('/')
    assert.equal(
      json.details.causes[0].message,
      `user "jane" cannot attach network "${name}": that takes the right to get network-attachment-definitions.k8s.cni.cncf.io "${plain}" in the namespace "${namespace}"; have a role there give it, or choose a network that you may get`,
    )
  }
  const halted = (name: string, network: string) => vm(name, [{ name: 'red', nad: network }], { runStrategy: 'Halted' })
  const patch = (name: string, body: unknown, type = 'application/json-patch+json', query = '') =>
    jane.send('PATCH', `${vmsPath(own, name)}${query}`, { body, type })

  it('is attached by nobody who may not get it: neither by create nor by update, apply, patch or dry run', async () => {
    const field = 'spec.template.spec.networks[1].multus.networkName'
    const far = `${other}/private`
    refused(await jane.send('POST', vmsPath(own), { body: halted('a', far) }), field)
    refused(await jane.send('POST', `${vmsPath(own)}?dryRun=All`, { body: halted('a', far) }), field)
    refused(await jane.send('POST', vmisPath(own), { body: vmi('a', far) }), 'spec.networks[1].multus.networkName')
    const { code } = await jane.send('POST', vmsPath(own), { body: halted('a', 'red') })
    assert.equal(code, 201, 'one of the own namespace is attached')
    refused(await patch('a', [{ op: 'replace', path: `${networks}/1/multus/networkName`, value: far }]), field)
    const current = await jane.get(vmsPath(own, 'a'))
    // The controller writes too; which of the two is faster is not what this is about.
    delete current.metadata.resourceVersion
    current.spec.template.spec.networks[1].multus.networkName = far
    refused(await jane.send('PUT', vmsPath(own, 'a'), { body: current }), field)
    const applied = { ...halted('a', far) }
    refused(await patch('a', applied, 'application/apply-patch+yaml', '?fieldManager=jane&force=true'), field)
    refused(await patch('b', halted('b', far), 'application/apply-patch+yaml', '?fieldManager=jane'), field)
    const template = current.spec.template
    refused(await patch('a', { spec: { template } }, 'application/merge-patch+json'), field)
  })

  it('is no more attached by addinterface', async () => {
    await cluster.api.create(vmsPath(own), vm('c', [], { runStrategy: 'Halted' }))
    const add = (network: string) =>
      jane.send('PUT', `/apis/subresources.kubevirt.io/v1/namespaces/${own}/virtualmachines/c/addinterface`, {
        body: { name: 'more', networkAttachmentDefinitionName: network },
      })
    refused(await add(`${other}/private`), 'spec.template.spec.networks[1].multus.networkName')
    assert.equal((await add('red')).code, 202)
  })

  it('is told of in the same words whether it exists or not', async () => {
    const field = 'spec.template.spec.networks[1].multus.networkName'
    const name = `${other}/no-such`
    refused(await jane.send('POST', vmsPath(own), { body: halted('d', name) }), field, name)
  })

  it('stays with a VM that has it, whoever changes something else', async () => {
    await cluster.api.create(vmsPath(own), halted('e', `${other}/private`))
    const { code } = await patch('e', { spec: { runStrategy: 'Always' } }, 'application/merge-patch+json')
    assert.equal(code, 200)
    await cluster.api.until('its guest runs', vmisPath(own, 'e'), (one) => one?.status?.phase === 'Running')
    const again = [
      { op: 'add', path: '/spec/template/spec/domain/devices/interfaces/-', value: { name: 'two', bridge: {} } },
      { op: 'add', path: `${networks}/-`, value: { name: 'two', multus: { networkName: `${other}/private` } } },
    ]
    refused(await patch('e', again), 'spec.template.spec.networks[2].multus.networkName')
  })

  it('is attached to no VM that is being deleted either, though nothing else of it is judged any more', async () => {
    const kept = halted('g', 'red')
    kept.metadata.finalizers = ['example.org/kept']
    assert.equal((await jane.send('POST', vmsPath(own), { body: kept })).code, 201)
    await jane.delete(vmsPath(own, 'g'))
    const value = `${other}/private`
    const change = [{ op: 'replace', path: `${networks}/1/multus/networkName`, value }]
    refused(await patch('g', change), 'spec.template.spec.networks[1].multus.networkName')
    assert.equal((await patch('g', [{ op: 'remove', path: '/metadata/finalizers' }])).code, 200)
  })

  it('is attached by who may get it there, be it by its name alone', async () => {
    await cluster.api.create(`${rbac}/${other}/roles`, {
      metadata: { name: 'attach' },
      rules: [
        {
          apiGroups: ['k8s.cni.cncf.io'],
          resources: ['network-attachment-definitions'],
          verbs: ['get'],
          resourceNames: ['private'],
        },
      ],
    })
    await cluster.api.create(`${rbac}/${other}/rolebindings`, {
      metadata: { name: 'attach' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'attach' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'jane' }],
    })
    const path = nadsPath(other, 'private')
    await eventually('jane may get it', async () => (await jane.send('GET', path)).code === 200)
    const made = await run(jane, own, vm('f', [{ name: 'red', nad: `${other}/private` }]))
    assert.equal(made.status.phase, 'Running')
  })

  it('is given by the role of KubeVirt’s editors in their own namespace', async () => {
    const ns = await makeNamespace(cluster.api, ['red'])
    await bind(cluster, ns, 'kubevirt.io:edit', ['kim'])
    const kim = await cluster.as('kim', [])
    const { code, json } = await kim.send('POST', vmsPath(ns), { body: halted('a', 'red') })
    assert.equal(code, 201, JSON.stringify(json))
  })
})

describe('a server that lets everybody attach any network', () => {
  it('asks for no right, as Multus does without namespace isolation', async (t) => {
    const ground = await makeGround()
    const cluster = await startOn(ground, { anyNamespaceNetworks: true })
    t.after(async () => {
      await cluster.stop()
      await ground.remove()
    })
    const [own, other] = [await makeNamespace(cluster.api), await makeNamespace(cluster.api)]
    await cluster.api.create(nadsPath(other), nad('private'))
    await bind(cluster, own, 'edit', ['jane'])
    const jane = await cluster.as('jane', [])
    assert.equal((await jane.send('GET', nadsPath(other, 'private'))).code, 403)
    await run(jane, own, vm('a', [{ name: 'red', nad: `${other}/private` }]))
  })
})
