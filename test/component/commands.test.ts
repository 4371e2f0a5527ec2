import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { Kubectl, noKubectl } from './kubectl.ts'
import { makeNamespace, nad, run, vm } from './manifests.ts'

describe('every command of kubectl', { skip: noKubectl }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  const halted = { runStrategy: 'Halted' }
  const nadName = 'networkattachmentdefinition.k8s.cni.cncf.io'
  async function inNamespace(nads: readonly string[] = []): Promise<{ k: Kubectl; ns: string }> {
    const ns = await makeNamespace(cluster.api, nads)
    return { k: new Kubectl(cluster.dir, ns), ns }
  }
  async function withVm(): Promise<{ k: Kubectl; ns: string }> {
    const made = await inNamespace(['red'])
    await run(cluster.api, made.ns, vm('a', [{ name: 'red' }]))
    return made
  }
  const patch = (value: unknown) => ({ more: ['-p', JSON.stringify(value)] })

  it('explains a kind from the top, in full and a part of it', async () => {
    const { k } = await inNamespace()
    const spec = await k.ok('explain vm.spec')
    assert.match(spec, /^KIND: +VirtualMachine\nVERSION: +v1\n\nFIELD: spec <Object>$/m)
    assert.match(
      spec,
      /^ {2}runStrategy\t<string>\n( {2}enum: Always, Halted.*\n)? {4}When the VM runs\. Always restarts/m,
    )
    assert.match(spec, /^ {2}template\t<Object> -required-\n {4}What its instances are made from\.$/m)
    const all = await k.ok('explain vm --recursive')
    for (const line of [
      /^ {2}metadata\t<ObjectMeta>$/m,
      /^ {14}macAddress\t<string>$/m,
      /^ {14}name\t<string> -required-$/m,
    ])
      assert.match(all, line)
    assert.match(await k.ok('explain vm.metadata.ownerReferences'), /^FIELD: ownerReferences <\[\]Object>$/m)
    assert.match(await k.ok('explain vm.spec.template.metadata.labels'), /^FIELD: labels <map\[string\]string>$/m)
    assert.equal(await k.fails('explain nosuch'), 'the server doesn\'t have a resource type "nosuch"\n')
  })

  it('edits again what was refused, with the reason in the file, and keeps what was never taken', async () => {
    const { k } = await inNamespace()
    await k.ok('create -f -', { input: vm('a', [], halted) })
    const wrong = await k.editor('wrong', 's/runStrategy: Halted/runStrategy: Never/')
    const { code, err } = await k.run(['edit', 'vm', 'a'], { env: { EDITOR: wrong } })
    assert.equal(code, 1)
    const [, kept] =
      /^error: virtualmachines.kubevirt.io "a" is invalid\nA copy of your changes has been stored to "(.*)"\nerror: Edit cancelled, no valid changes were saved.\n$/.exec(
        err,
      ) ?? assert.fail(err)
    assert.match(kept!, /kubectl-edit-\d+\.yaml$/)
    // The first time it gets the strategy wrong; the second it reads why and mends it.
    const mending = await k.editor(
      'mending',
      '/^# \\* spec.runStrategy: Unsupported value: "Never"/,$ s/runStrategy: Never/runStrategy: Manual/; t; s/runStrategy: Halted/runStrategy: Never/',
    )
    assert.equal(await k.ok('edit vm a', { env: { EDITOR: mending } }), 'virtualmachine.kubevirt.io/a edited\n')
    assert.equal(await k.ok('get vm a -o jsonpath={.spec.runStrategy}'), 'Manual')
    assert.equal(
      await k.fails('edit vm nobody', { env: { EDITOR: 'true' } }),
      'Error from server (NotFound): virtualmachines.kubevirt.io "nobody" not found\n',
    )
    const json = await k.editor('json', 's/"Manual"/"Halted"/')
    const printed = JSON.parse(await k.ok('edit vm a -o json', { env: { EDITOR: json } }))
    assert.equal(printed.spec.runStrategy, 'Halted')
  })

  it('waits for conditions, fields and deletion', async () => {
    const { k } = await withVm()
    const met = 'virtualmachine.kubevirt.io/a condition met\n'
    for (const what of ['vm a --for=condition=Ready', 'vm --all --for=jsonpath={.status.printableStatus}=Running'])
      assert.equal(await k.ok(`wait ${what} --timeout=30s`), met)
    const timedOut = 'error: timed out waiting for the condition on virtualmachines/a\n'
    // Its log may say before that the watch, which it ends itself, was a short one.
    for (const what of ['condition=Ready=False', 'delete', 'jsonpath={.status.printableStatus}=Stopped'])
      assert.ok((await k.fails(`wait vm a --for=${what} --timeout=1s`)).endsWith(timedOut))
    const notFound = 'Error from server (NotFound): virtualmachines.kubevirt.io "nobody" not found\n'
    assert.equal(await k.fails('wait vm nobody --for=condition=Ready'), notFound)
    const waiting = k.ok('wait vm a --for=condition=Ready=False --timeout=30s')
    await k.ok('patch vm a --type=merge', patch({ spec: halted }))
    assert.equal(await waiting, met)
    const gone = k.ok('wait vm a --for=delete --timeout=30s')
    assert.equal(await k.ok('delete vm a'), 'virtualmachine.kubevirt.io "a" deleted\n')
    await gone
  })

  it('shows objects in every form', async () => {
    const { k, ns } = await inNamespace(['blue', 'red'])
    await k.ok('label net-attach-def red app=x')
    const get = (args: string, ...more: string[]) => k.ok(`get ${args}`, { more })
    assert.equal(await get('net-attach-def -o name'), `${nadName}/blue\n${nadName}/red\n`)
    assert.equal(await get('net-attach-def -o', 'jsonpath={.items[*].metadata.name}'), 'blue red')
    assert.equal(await get('net-attach-def -o', 'go-template={{len .items}}'), '2')
    assert.match(
      await get('net-attach-def red -o custom-columns=A:.metadata.name,B:.kind'),
      /^A +B\nred +Network\w+\n$/,
    )
    assert.equal(JSON.parse(await get('net-attach-def red -o json')).metadata.namespace, ns)
    assert.match(await get('net-attach-def red -o yaml'), /^kind: NetworkAttachmentDefinition$/m)
    assert.match(await get('net-attach-def -L app --show-labels'), /^red +\d+s +x +app=x$/m)
    assert.match(await get('net-attach-def red --show-kind --no-headers'), new RegExp(`^${nadName}/red `))
    assert.match(await get('net-attach-def --sort-by={.metadata.labels.app} --no-headers'), /^blue(.|\n)*^red/m)
    assert.equal(await get('net-attach-def --field-selector metadata.name!=red -o name'), `${nadName}/blue\n`)
    assert.equal(await get('net-attach-def -l app -o name --chunk-size=1'), `${nadName}/red\n`)
    await k.ok('create -f -', { input: vm('a', [], halted) })
    assert.equal(await get('vm a --subresource=status -o', 'jsonpath={.metadata.name}'), 'a')
    assert.equal(JSON.parse(await get(`--raw ${vmsPath(ns, 'a')}`)).kind, 'VirtualMachine')
    assert.equal(await get('--raw /healthz'), 'ok')
    const some = await k.run(['get', 'net-attach-def', 'red', 'green', '--no-headers'])
    assert.match(some.out, /^red +\d+s\n$/)
    const missing = 'Error from server (NotFound): network-attachment-definitions.k8s.cni.cncf.io "green" not found\n'
    assert.deepEqual([some.code, some.err], [1, missing])
  })

  it('follows only what is new with --watch-only', async () => {
    const { k } = await inNamespace(['red'])
    const watch = k.start('get net-attach-def --watch-only --no-headers --output-watch-events')
    try {
      // Each new one may come before the watch has begun.
      let n = 0
      await eventually('an event', async () => {
        await k.ok('create -f -', { input: nad(`n${n++}`) })
        return watch.lines.length > 0
      })
      assert.match(watch.lines[0]!, /^ADDED +n\d+ +\d+s$/)
      assert.ok(!watch.lines.some((line) => line.includes('red')))
    } finally {
      await watch.stop()
    }
  })

  it('creates and replaces, tries without writing, and replaces by force', async () => {
    const { k } = await inNamespace()
    const input = vm('a', [], halted)
    const said = (word: string) => `virtualmachine.kubevirt.io/a ${word}\n`
    assert.equal(await k.ok('create -f - --dry-run=client', { input }), said('created (dry run)'))
    assert.equal(await k.ok('create -f - --dry-run=server', { input }), said('created (server dry run)'))
    assert.equal(
      await k.fails('replace -f -', { input }),
      'Error from server (NotFound): error when replacing "STDIN": virtualmachines.kubevirt.io "a" not found\n',
    )
    assert.equal(await k.ok('create --save-config -f -', { input }), said('created'))
    assert.equal(await k.ok('apply -f -', { input }), said('unchanged'))
    const uid = () => k.ok('get vm a -o jsonpath={.metadata.uid}')
    const first = await uid()
    assert.equal(await k.ok('replace -f -', { input }), said('replaced'))
    assert.equal(await uid(), first)
    const forced = await k.ok('replace --force -f -', { input })
    assert.match(forced, /^virtualmachine.kubevirt.io "a" deleted.*\nvirtualmachine.kubevirt.io\/a replaced\n$/)
    assert.notEqual(await uid(), first)
  })

  it('patches the status alone, by every type of patch', async () => {
    const { k } = await inNamespace()
    const input = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'spare' } }
    await k.ok('create -f -', { input })
    const status = (type: string, value: unknown) =>
      k.ok(`patch node spare --subresource=status --type=${type}`, patch(value))
    const condition = (type: string, reason: string) => ({ type, reason, status: 'True' })
    assert.equal(
      await status('merge', { spec: { unschedulable: true }, status: { conditions: [condition('A', 'x')] } }),
      'node/spare patched\n',
    )
    await status('strategic', { status: { conditions: [condition('B', 'y')] } })
    // A strategic patch puts its items in front.
    await status('json', [{ op: 'replace', path: '/status/conditions/0/reason', value: 'z' }])
    const reasons = 'jsonpath={.spec.unschedulable}{.status.conditions[*].reason}'
    assert.deepEqual((await k.ok('get node spare -o', { more: [reasons] })).split(' ').sort(), ['x', 'z'])
    assert.equal(
      await k.fails('patch node spare --type=sideways -p {}'),
      'error: --type must be one of [json merge strategic], not "sideways"\n',
    )
    assert.equal(await k.ok('delete node spare'), 'node "spare" deleted\n')
  })

  it('labels and annotates, one and many', async () => {
    const { k } = await inNamespace(['blue', 'red'])
    const said = (...words: string[]) => words.map((word) => `${nadName}/${word}\n`).join('')
    assert.equal(await k.ok('label net-attach-def --all app=x'), said('blue labeled', 'red labeled'))
    assert.equal(await k.ok('label net-attach-def red app=x'), said('red not labeled'))
    assert.equal(await k.ok('label net-attach-def red app=y --overwrite'), said('red labeled'))
    assert.equal(await k.ok('label net-attach-def -l app=y app-'), said('red unlabeled'))
    assert.equal(await k.ok('label net-attach-def blue --list'), 'app=x\n')
    assert.equal(await k.ok('annotate net-attach-def red note=1'), said('red annotated'))
    assert.equal(
      await k.fails('annotate net-attach-def red note=2'),
      "error: --overwrite is false but found the following declared annotation(s): 'note' already has a value (1)\n",
    )
    assert.equal(await k.ok('annotate net-attach-def red note=2 --overwrite'), said('red annotated'))
    assert.equal(await k.ok('annotate net-attach-def red note-'), said('red annotated'))
    assert.match(
      await k.fails('label net-attach-def red', { more: ['a b=1'] }),
      /^The NetworkAttachmentDefinition "red" is invalid: metadata.labels: Invalid value: "a b": name part must/,
    )
  })

  it('deletes many at once: all, by label, from a manifest', async () => {
    const { k } = await inNamespace()
    const item = (name: string, app: string) => ({ ...vm(name, [], halted), metadata: { name, labels: { app } } })
    const list = { apiVersion: 'v1', kind: 'List', items: [item('a', 'x'), item('b', 'x'), item('c', 'y')] }
    await k.ok('create -f -', { input: list })
    const names = (text: string) =>
      [...text.matchAll(/^virtualmachine.kubevirt.io "(\w)" deleted/gm)].map(([, one]) => one)
    assert.deepEqual(names(await k.ok('delete vm -l app=x')), ['a', 'b'])
    assert.equal(await k.ok('delete vm -l app=x'), 'No resources found\n')
    assert.equal(await k.fails('delete vm'), 'error: resource(s) were provided, but no name was specified\n')
    const { code, out, err } = await k.run(['delete', '-f', '-'], { input: list })
    assert.deepEqual([code, names(out)], [1, ['c']])
    assert.match(
      err,
      /^Error from server \(NotFound\): error when deleting "STDIN": virtualmachines.kubevirt.io "a" not found$/m,
    )
    await k.ok('create -f -', { input: list })
    assert.deepEqual(names(await k.ok('delete vm --all')), ['a', 'b', 'c'])
    assert.match(await k.fails('delete vm a --cascade=sideways'), /^error: invalid cascade value \(sideways\)/)
  })

  it('tells where the cluster is, which has no services and takes none', async () => {
    const { k, ns } = await inNamespace()
    assert.match(await k.ok('cluster-info'), /control plane.* is running at .*https:\/\/127\.0\.0\.1:\d+/)
    for (const plural of ['services', 'endpoints']) {
      assert.match((await k.run(['get', plural])).err, /^No resources found/)
      const path = `/api/v1/namespaces/${ns}/${plural}`
      const body = { metadata: { name: 'x' } }
      for (const [method, at] of [
        ['POST', path],
        ['PUT', `${path}/x`],
        ['PATCH', `${path}/x`],
        ['DELETE', `${path}/x`],
        ['DELETE', path],
      ] as const)
        assert.equal((await cluster.api.send(method, at, { body })).code, 405, `${method} ${at}`)
      assert.equal((await cluster.api.send('GET', `${path}/x`)).code, 404)
    }
  })

  it('says of what does not apply that it does not', async () => {
    const { k } = await withVm()
    const unknown = /^error: no kind "VirtualMachine" is registered for version "kubevirt.io\/v1"/
    for (const args of ['rollout status vm a', 'rollout restart vm/a', 'set image vm/a x=y', 'expose vm a --port=80'])
      assert.match(await k.fails(args), unknown, args)
    assert.match(
      await k.fails('scale vm a --replicas=2'),
      /^Error from server \(NotFound\): there is no virtualmachines\/scale here: a VM has one instance at most/m,
    )
    assert.match(
      await k.fails('autoscale vm a --max=3'),
      /^error: cannot autoscale a VirtualMachine: could not find scale/,
    )
    assert.match(await k.fails('get deploy'), /^error: the server doesn't have a resource type "deploy"$/m)
    assert.match(await k.fails('create deployment d --image=x'), /the server could not find the requested resource$/m)
    assert.match(await k.fails('top nodes'), /^error: Metrics API not available$/m)
    assert.match(
      await k.ok('api-versions'),
      /^k8s.cni.cncf.io\/v1\nkubevirt.io\/v1\nkubevirt.io\/v1alpha3\npolicy\/v1\nrbac.authorization.k8s.io\/v1\nstorage.k8s.io\/v1\nsubresources.kubevirt.io\/v1\nupload.cdi.kubevirt.io\/v1beta1\nv1\n$/m,
    )
    assert.match(
      await k.ok('get all -o name'),
      /^pod\/virt-launcher-a-\w+\nvirtualmachine.kubevirt.io\/a\nvirtualmachineinstance.kubevirt.io\/a\n$/,
    )
    assert.deepEqual(cluster.errors, [])
  })
})
