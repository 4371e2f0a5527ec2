import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, nadsPath, vmisPath, vmsPath } from '../component/api.ts'
import { type Cluster, startCluster } from '../component/cluster.ts'
import { Kubectl } from '../component/kubectl.ts'
import { condition, linkStates, makeNamespace, nad, vm } from '../component/manifests.ts'
import { firstMs } from './install/cache.ts'
import { provideLayer } from './install/layer.ts'

/** What Argo CD and Flux do to a cluster, by the kubectl of the same libraries. */
describe('the habits of Argo CD and Flux', () => {
  let program: string
  let cluster: Cluster
  before(
    async () => {
      program = (await provideLayer()).kubectl
      cluster = await startCluster()
    },
    { timeout: firstMs },
  )
  after(() => cluster?.stop())

  /** Both apply on the server and take what others have. */
  const argo = '--server-side --force-conflicts --field-manager=argocd-controller -f -'
  const flux = '--server-side --force-conflicts --field-manager=kustomize-controller -f -'
  /** A member of a list as managedFields name it, in JSON. */
  const member = (name: string) => JSON.stringify(`k:{"name":"${name}"}`).slice(1, -1)
  const list = (...items: readonly Any[]) => ({ apiVersion: 'v1', kind: 'List', items })
  const statePath = (index: number) => `/spec/template/spec/domain/devices/interfaces/${index}/state`

  async function start(networks: readonly string[] = []): Promise<{ namespace: string; kubectl: Kubectl }> {
    const namespace = await makeNamespace(cluster.api, networks)
    return { namespace, kubectl: new Kubectl(cluster.dir, namespace, program) }
  }

  const names = (items: readonly Any[]) => items.map(({ name }) => name)
  const links = (namespace: string, want: string) =>
    cluster.api.until(want, vmisPath(namespace, 'a'), (vmi) => linkStates(vmi)?.join() === want)

  it('two of them apply one VM by force in turns, and each wins in the end', async () => {
    const { namespace, kubectl } = await start(['lan'])
    const up = vm('a', [{ name: 'lan', state: 'up' }])
    const down = vm('a', [{ name: 'lan', state: 'down' }])
    await kubectl.ok(`apply ${argo}`, { input: up })
    await links(namespace, 'default up,lan up')
    const conflict = await kubectl.fails('apply --server-side --field-manager=kustomize-controller -f -', {
      input: down,
    })
    assert.match(conflict, /conflict with "argocd-controller"/)
    await kubectl.ok(`apply ${flux}`, { input: down })
    await links(namespace, 'default up,lan down')
    await kubectl.ok(`apply ${argo}`, { input: up })
    await links(namespace, 'default up,lan up')
    const before = await cluster.api.get(vmsPath(namespace, 'a'))
    await kubectl.ok(`apply ${argo}`, { input: up })
    const now = await cluster.api.get(vmsPath(namespace, 'a'))
    assert.deepEqual([now.metadata.generation, now.spec], [before.metadata.generation, before.spec])
    const appliers = now.metadata.managedFields.filter((one: Any) => one.operation === 'Apply')
    assert.deepEqual(appliers.map((one: Any) => one.manager).sort(), ['argocd-controller', 'kustomize-controller'])
  })

  it('a link that somebody changed between two syncs is found as drift, and put back', async () => {
    const { namespace, kubectl } = await start(['lan'])
    const input = vm('a', [{ name: 'lan', state: 'up' }])
    const diff = (more: readonly string[] = []) =>
      kubectl.run(
        ['diff', '--server-side', '--force-conflicts', '--field-manager=argocd-controller', ...more, '-f', '-'],
        {
          input,
        },
      )
    assert.equal((await diff()).code, 1)
    await kubectl.ok(`apply ${argo}`, { input })
    await links(namespace, 'default up,lan up')
    assert.deepEqual(await diff(), { code: 0, out: '', err: '' })
    await cluster.api.patch(vmsPath(namespace, 'a'), [{ op: 'replace', path: statePath(1), value: 'down' }])
    await links(namespace, 'default up,lan down')
    const { code, out } = await diff()
    assert.equal(code, 1)
    assert.deepEqual(
      out.split('\n').filter((line) => /^[-+] .*state/.test(line)),
      ['-            state: down', '+            state: up'],
    )
    await links(namespace, 'default up,lan down')
    await kubectl.ok(`apply ${argo}`, { input })
    await links(namespace, 'default up,lan up')
    assert.equal((await diff()).code, 0)
  })

  it('drift is told as well where objects are applied by the client, and no status counts as drift', async () => {
    const { namespace, kubectl } = await start(['lan'])
    const input = list(nad('net'), vm('a', [{ name: 'lan', state: 'up' }]))
    const diff = () => kubectl.run(['diff', '-f', '-'], { input })
    assert.equal((await diff()).code, 1)
    await kubectl.ok('apply -f -', { input })
    await links(namespace, 'default up,lan up')
    assert.deepEqual(await diff(), { code: 0, out: '', err: '' })
    await kubectl.ok('label virtualmachine a kept=by-others')
    assert.equal((await diff()).code, 0)
    await cluster.api.patch(vmsPath(namespace, 'a'), [{ op: 'replace', path: statePath(1), value: 'down' }])
    assert.equal((await diff()).code, 1)
    await kubectl.ok('apply -f -', { input })
    await links(namespace, 'default up,lan up')
    assert.equal((await cluster.api.get(vmsPath(namespace, 'a'))).metadata.labels.kept, 'by-others')
  })

  for (const force of ['--force-conflicts', '--force-conflicts=false'])
    it(`an interface whose link another manager changed is removed (${force})`, async () => {
      const { namespace, kubectl } = await start(['lan', 'dmz'])
      const apply = (input: Any) =>
        kubectl.ok(`apply --server-side ${force} --field-manager=argocd-controller -f -`, { input })
      await apply(vm('a', [{ name: 'lan' }, { name: 'dmz' }]))
      await links(namespace, 'default up,lan up,dmz up')
      await kubectl.ok('patch virtualmachine a --type=json --field-manager=operator -p', {
        more: [JSON.stringify([{ op: 'add', path: statePath(1), value: 'down' }])],
      })
      await links(namespace, 'default up,lan down,dmz up')
      await apply(vm('a', [{ name: 'dmz' }]))
      const now = await cluster.api.get(vmsPath(namespace, 'a'))
      const { domain, networks } = now.spec.template.spec
      assert.deepEqual(names(domain.devices.interfaces), ['default', 'dmz'])
      assert.deepEqual(names(networks), ['default', 'dmz'])
      // No manager is left with anything of it.
      const members = JSON.stringify(now.metadata.managedFields).match(/k:\{\\"name\\":\\"\w+\\"\}/g)
      assert.deepEqual([...new Set(members)].sort(), [member('default'), member('dmz')])
    })

  it('what was applied by the client goes over to a manager who applies on the server', async () => {
    const { namespace, kubectl } = await start(['lan', 'dmz'])
    await kubectl.ok('apply -f -', { input: vm('a', [{ name: 'lan' }, { name: 'dmz' }]) })
    await links(namespace, 'default up,lan up,dmz up')
    await kubectl.ok(`apply ${argo}`, { input: vm('a', [{ name: 'dmz' }]) })
    const { spec, metadata } = await cluster.api.get(vmsPath(namespace, 'a'))
    assert.deepEqual(names(spec.template.spec.domain.devices.interfaces), ['default', 'dmz'])
    const managers = metadata.managedFields.map((one: Any) => `${one.manager} ${one.operation}`)
    assert.ok(managers.includes('argocd-controller Apply'))
    assert.ok(!managers.includes('kubectl-client-side-apply Update'), managers.join())
    // Its instance keeps what it has: an interface is unplugged by saying that it is absent.
    const needsRestart = (one: Any) => condition(one, 'RestartRequired')?.status === 'True'
    await cluster.api.until('the condition', vmsPath(namespace, 'a'), needsRestart)
  })

  it('fields that a user of kubectl holds are taken from them, as Flux does before it applies', async () => {
    const { namespace, kubectl } = await start(['lan'])
    await kubectl.ok(`apply ${flux}`, { input: vm('a', [{ name: 'lan' }]) })
    await links(namespace, 'default up,lan up')
    await kubectl.ok('patch virtualmachine a --type=json --field-manager=kubectl-edit -p', {
      more: [JSON.stringify([{ op: 'add', path: '/spec/template/spec/nodeSelector', value: { disk: 'fast' } }])],
    })
    const handOver = async () => {
      const { managedFields, resourceVersion } = (await cluster.api.get(vmsPath(namespace, 'a'))).metadata
      const kept = managedFields.filter(({ manager }: Any) => manager !== 'kubectl-edit')
      const mine = kept.find((one: Any) => one.manager === 'kustomize-controller')
      assert.equal(kept.length, managedFields.length - 1)
      mine.fieldsV1['f:spec']['f:template']['f:spec']['f:nodeSelector'] = { '.': {}, 'f:disk': {} }
      const steps = [
        { op: 'replace', path: '/metadata/managedFields', value: kept },
        { op: 'replace', path: '/metadata/resourceVersion', value: resourceVersion },
      ]
      return kubectl.run(['patch', 'virtualmachine', 'a', '--type=json', '-p', JSON.stringify(steps)])
    }
    await eventually('nobody wrote meanwhile', async () => (await handOver()).code === 0)
    await kubectl.ok(`apply ${flux}`, { input: vm('a', [{ name: 'lan' }]) })
    assert.equal((await cluster.api.get(vmsPath(namespace, 'a'))).spec.template.spec.nodeSelector, undefined)
  })

  it('what is no longer in the repository is pruned by its label, and nothing else', async () => {
    const { namespace, kubectl } = await start()
    const labels = { 'app.kubernetes.io/instance': 'shop' }
    const labelled = (one: Any) => ({ ...one, metadata: { ...one.metadata, labels } })
    const [lan, dmz, machine] = [nad('lan'), nad('dmz'), vm('a', [{ name: 'lan' }], { runStrategy: 'Halted' })].map(
      labelled,
    )
    await kubectl.ok('create -f -', { input: nad('foreign') })
    const kinds = ['k8s.cni.cncf.io/v1/NetworkAttachmentDefinition', 'kubevirt.io/v1/VirtualMachine']
    const prune = [
      '--prune',
      '-l',
      'app.kubernetes.io/instance=shop',
      ...kinds.map((kind) => `--prune-allowlist=${kind}`),
    ]
    const sync = (...items: readonly Any[]) => kubectl.ok('apply -f -', { input: list(...items), more: prune })
    await sync(lan, dmz, machine)
    assert.match(await sync(lan, dmz), /virtualmachine\.kubevirt\.io\/a pruned/)
    assert.match(await sync(lan), /dmz pruned/)
    await cluster.api.until('the VM is gone', vmsPath(namespace, 'a'), (one) => one === undefined)
    assert.deepEqual(
      (await cluster.api.list(nadsPath(namespace))).map(({ metadata }) => metadata.name),
      ['foreign', 'lan'],
    )
  })

  it('what is no longer in an apply set is pruned, on the server’s side as well', async () => {
    const { namespace, kubectl } = await start()
    const env = { KUBECTL_APPLYSET: 'true' }
    const halted = (name: string) => vm(name, [], { runStrategy: 'Halted' })
    const sync = (mode: string, ...items: readonly Any[]) =>
      kubectl.ok(`apply --prune --applyset=shop ${mode} -f -`, { input: list(...items), env })
    for (const mode of ['--server-side=false', `--server-side --force-conflicts --field-manager=argocd-controller`]) {
      await sync(mode, nad('lan'), nad('dmz'), halted('a'), halted('b'))
      const out = await sync(mode, nad('lan'), halted('a'))
      assert.match(out, /virtualmachine\.kubevirt\.io\/b pruned/)
      assert.match(out, /dmz pruned/)
      await cluster.api.until('b is gone', vmsPath(namespace, 'b'), (one) => one === undefined)
      assert.ok(await cluster.api.get(vmsPath(namespace, 'a')))
      const again = await sync(mode, nad('lan'), halted('a'))
      assert.doesNotMatch(again, /pruned/)
    }
    const parent = await cluster.api.get(`/api/v1/namespaces/${namespace}/secrets/shop`)
    assert.match(parent.metadata.labels['applyset.kubernetes.io/id'], /^applyset-/)
  })

  it('a sync waits until what it applied is healthy', async () => {
    const { namespace, kubectl } = await start(['lan'])
    await kubectl.ok(`apply ${flux}`, { input: vm('a', [{ name: 'lan' }]) })
    await kubectl.ok('wait --for=condition=Ready virtualmachine/a --timeout=50s')
    await kubectl.ok('wait --for=jsonpath={.status.printableStatus}=Running virtualmachine/a --timeout=50s')
    await kubectl.ok('delete virtualmachine a --cascade=foreground --wait=true --timeout=50s')
    assert.equal(await cluster.api.get(vmisPath(namespace, 'a')), undefined)
  })

  it('meets no bug of the server', () => assert.deepEqual(cluster.errors, []))
})
