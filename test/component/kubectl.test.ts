import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { Kubectl, noKubectl } from './kubectl.ts'
import { linkStates, makeNamespace, nad, run, vm } from './manifests.ts'

if (noKubectl) console.log(`The tests with stock kubectl are skipped: ${noKubectl}`)

describe('stock kubectl', { skip: noKubectl }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  async function inNamespace(nads: readonly string[] = []): Promise<{ k: Kubectl; ns: string }> {
    const ns = await makeNamespace(cluster.api, nads)
    return { k: new Kubectl(cluster.dir, ns), ns }
  }
  /** A namespace with a running VM `a`. */
  async function withVm(): Promise<{ k: Kubectl; ns: string }> {
    const made = await inNamespace(['red'])
    await run(cluster.api, made.ns, vm('a', [{ name: 'red' }]))
    return made
  }
  const rows = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().split(/\s{2,}/))
  const json = (patch: unknown) => ['-p', JSON.stringify(patch)]
  const interfaceState = (i: number, value: string) => ({
    op: 'add',
    path: `/spec/template/spec/domain/devices/interfaces/${i}/state`,
    value,
  })

  it('finds every kind with its short names', async () => {
    const { k } = await inNamespace()
    const found = rows(await k.ok('api-resources --no-headers')).map((columns) => columns.join(' '))
    for (const line of [
      'virtualmachines vm,vms kubevirt.io/v1 true VirtualMachine',
      'virtualmachineinstances vmi,vmis kubevirt.io/v1 true VirtualMachineInstance',
      'network-attachment-definitions net-attach-def k8s.cni.cncf.io/v1 true NetworkAttachmentDefinition',
      'namespaces ns v1 false Namespace',
    ])
      assert.ok(found.includes(line), `${line} in\n${found.join('\n')}`)
    assert.match(await k.ok('version'), /Server Version: v1\.32\.0/)
  })

  it('makes a VM by apply, and applying the same again changes nothing', async () => {
    const { k, ns } = await inNamespace(['red'])
    const input = vm('a', [{ name: 'red' }])
    assert.equal(await k.ok('apply -f -', { input }), 'virtualmachine.kubevirt.io/a created\n')
    assert.equal(
      await k.ok('wait vm a --for=condition=Ready --timeout=30s'),
      'virtualmachine.kubevirt.io/a condition met\n',
    )
    const before = await cluster.api.get(vmsPath(ns, 'a'))
    await k.ok('apply -f -', { input })
    assert.deepEqual((await cluster.api.get(vmsPath(ns, 'a'))).spec, before.spec)
    assert.equal(await k.ok('diff -f -', { input }), '')
    input.spec.template.spec.domain.devices.interfaces[0].state = 'down'
    assert.equal(await k.ok('apply -f -', { input }), 'virtualmachine.kubevirt.io/a configured\n')
    await cluster.api.until('the link is down', vmisPath(ns, 'a'), (one) => linkStates(one)?.[0] === 'default down')
  })

  it('makes things once by create, also under a generated name', async () => {
    const { k } = await inNamespace()
    assert.match(
      await k.ok('create -f -', { input: nad('red') }),
      /^networkattachmentdefinition.k8s.cni.cncf.io\/red created$/m,
    )
    assert.equal(
      await k.fails('create -f -', { input: nad('red') }),
      'Error from server (AlreadyExists): error when creating "STDIN": network-attachment-definitions.k8s.cni.cncf.io "red" already exists\n',
    )
    const input = { ...nad(''), metadata: { generateName: 'net-' } }
    assert.match(
      await k.ok('create -f -', { input }),
      /^networkattachmentdefinition.k8s.cni.cncf.io\/net-[a-z0-9]{5} created$/m,
    )
    assert.match(await k.ok('create -f - --dry-run=server', { input: nad('dry') }), /dry created \(server dry run\)/)
    assert.match(await k.fails('get net-attach-def dry'), /^Error from server \(NotFound\)/)
  })

  it('makes, relabels and deletes a namespace, which empties it first', async () => {
    const { k } = await inNamespace()
    assert.equal(await k.ok('create namespace made'), 'namespace/made created\n')
    assert.equal(
      await k.fails('create namespace made'),
      'Error from server (AlreadyExists): namespaces "made" already exists\n',
    )
    assert.match(
      await k.fails('create namespace No_Name'),
      /^The Namespace "No_Name" is invalid: metadata.name: Invalid value: "No_Name": a lowercase RFC 1123 label/,
    )
    const input = (labels: unknown) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'applied', labels } })
    await k.ok('apply -f -', { input: input({ a: '1' }) })
    assert.equal(await k.ok('apply -f -', { input: input({ b: '1' }) }), 'namespace/applied configured\n')
    assert.match(await k.ok('get ns applied --no-headers --show-labels'), /^applied +Active +\S+ +b=1$/m)
    await k.ok('-n made create -f -', { input: vm('a') })
    assert.equal(await k.ok('delete namespace made applied'), 'namespace "made" deleted\nnamespace "applied" deleted\n')
    assert.match(await k.fails('get ns made'), /namespaces "made" not found/)
    assert.match(
      await k.fails('delete namespace default'),
      /^Error from server \(Forbidden\): namespaces "default" is forbidden: this namespace may not be deleted$/m,
    )
    assert.equal(
      await k.fails('-n nowhere create -f -', { input: vm('a') }),
      'Error from server (NotFound): error when creating "STDIN": namespaces "nowhere" not found\n',
    )
  })

  it('shows KubeVirt’s columns', async () => {
    const { k, ns } = await withVm()
    const [head, row] = rows(await k.ok('get vm'))
    assert.deepEqual(head, ['NAME', 'AGE', 'STATUS', 'READY'])
    assert.deepEqual([row?.[0], row?.[2], row?.[3]], ['a', 'Running', 'True'])
    assert.match(row?.[1] ?? '', /^\d+s$/)
    const [wide, vmi] = rows(await k.ok('get vmi -o wide'))
    assert.deepEqual(wide, ['NAME', 'AGE', 'PHASE', 'IP', 'NODENAME', 'READY', 'LIVE-MIGRATABLE', 'PAUSED'])
    assert.deepEqual([vmi?.[0], vmi?.[2], vmi?.[4], vmi?.[5]], ['a', 'Running', 'node1', 'True'])
    assert.match(vmi?.[3] ?? '', /^10\.244\.0\.\d+$/)
    assert.match(await k.ok('get vm -A'), new RegExp(`^${ns} +a +\\S+ +Running +True$`, 'm'))
    assert.equal(
      await k.ok('get vm,vmi -o name'),
      'virtualmachine.kubevirt.io/a\nvirtualmachineinstance.kubevirt.io/a\n',
    )
    for (const kind of ['pod/', 'virtualmachine.kubevirt.io/a', 'virtualmachineinstance.kubevirt.io/a'])
      assert.ok((await k.ok('get all')).includes(kind))
    assert.equal(await k.ok('get vmi a -o', { more: ['jsonpath={.status.interfaces[*].linkState}'] }), 'up up')
    const yaml = await k.ok('get vm a -o yaml')
    for (const line of [
      'apiVersion: kubevirt.io/v1',
      'kind: VirtualMachine',
      '  runStrategy: Always',
      '  printableStatus: Running',
    ])
      assert.ok(yaml.includes(`${line}\n`), line)
  })

  it('says what is not there, and how many there are not', async () => {
    const { k, ns } = await inNamespace()
    const { code, out, err } = await k.run(['get', 'vm'])
    assert.deepEqual([code, out, err], [0, '', `No resources found in ${ns} namespace.\n`])
    assert.equal(
      await k.fails('get vm nobody'),
      'Error from server (NotFound): virtualmachines.kubevirt.io "nobody" not found\n',
    )
    assert.equal(await k.ok('get vm nobody --ignore-not-found'), '')
    assert.equal(await k.fails('get nosuch'), 'error: the server doesn\'t have a resource type "nosuch"\n')
    assert.match(
      await k.fails('apply -f -', { input: { apiVersion: 'v1', kind: 'Nosuch', metadata: { name: 'a' } } }),
      /no matches for kind "Nosuch" in version "v1"/,
    )
    assert.match(await k.fails('get vm --field-selector metadata.nope!=x'), /field label not supported: metadata.nope/)
  })

  it('flips both cables of a running VM by one JSON patch', async () => {
    const { k, ns } = await withVm()
    const [pod] = await cluster.api.list(podsPath(ns))
    for (const state of ['down', 'up']) {
      const patch = [interfaceState(0, state), interfaceState(1, state)]
      assert.equal(
        await k.ok('patch vm a --type=json', { more: json(patch) }),
        'virtualmachine.kubevirt.io/a patched\n',
      )
      const path = 'jsonpath={.status.interfaces[1].linkState}'
      await k.ok(`wait vmi a --timeout=30s --for=${path}=${state}`)
      assert.equal(
        await k.ok('get vmi a -o', { more: ['jsonpath={.status.interfaces[*].linkState}'] }),
        `${state} ${state}`,
      )
    }
    assert.equal(
      await k.ok('get vm a -o', { more: ['jsonpath={.status.conditions[?(@.type=="RestartRequired")]}'] }),
      '',
    )
    assert.deepEqual(
      (await cluster.api.list(podsPath(ns))).map((one) => one.metadata.uid),
      [pod.metadata.uid],
    )
  })

  it('patches, labels and annotates, and tells when nothing changed', async () => {
    const { k } = await inNamespace(['red'])
    const patched = 'networkattachmentdefinition.k8s.cni.cncf.io/red patched'
    const labels = json({ metadata: { labels: { a: 'b' } } })
    assert.equal(await k.ok('patch net-attach-def red --type=merge', { more: labels }), `${patched}\n`)
    assert.equal(await k.ok('patch net-attach-def red --type=merge', { more: labels }), `${patched} (no change)\n`)
    await k.ok('label net-attach-def red x=y')
    assert.equal(
      await k.fails('label net-attach-def red x=z'),
      "error: 'x' already has a value (y), and --overwrite is false\n",
    )
    await k.ok('label net-attach-def red x=z --overwrite')
    await k.ok('annotate net-attach-def red note=1')
    for (const selector of ['x=z', 'x!=y', 'x in (y,z)', 'a', '!b'])
      assert.match(await k.ok('get net-attach-def -o name -l', { more: [selector] }), /red/)
    assert.equal(await k.ok('get net-attach-def -o name -l x!=z'), '')
    await k.ok('label net-attach-def red x-')
    assert.equal(await k.ok('get net-attach-def red -o jsonpath={.metadata.labels}'), '{"a":"b"}')
  })

  it('patches one interface of many by its name, and tells why a patch is not possible', async () => {
    const { k } = await withVm()
    const interfaces = [{ name: 'red', state: 'down' }]
    const one = { spec: { template: { spec: { domain: { devices: { interfaces } } } } } }
    assert.equal(await k.ok('patch vm a', { more: json(one) }), 'virtualmachine.kubevirt.io/a patched\n')
    await k.ok('wait vmi a --timeout=30s --for=jsonpath={.status.interfaces[1].linkState}=down')
    assert.equal(await k.ok('get vmi a -o jsonpath={.status.interfaces[0].linkState}'), 'up')
    assert.match(
      await k.fails('patch vm a', { more: json({ spec: { template: { spec: { networks: [{ pod: {} }] } } } }) }),
      /^Error from server \(BadRequest\): map: {"pod":{}} does not contain declared merge key: name \(spec.template.spec.networks\)$/m,
    )
    assert.match(
      await k.fails('patch vm a --type=json', { more: json([{ op: 'replace', path: '/spec/nope/x', value: 1 }]) }),
      /^The request is invalid: the server rejected our request due to an error in our request/,
    )
    assert.match(
      await k.fails('patch vmi a --type=merge', { more: json({ spec: { hostname: 'x' } }) }),
      /update of VMI object is restricted/,
    )
    assert.match(await k.fails('patch vm nobody --type=merge', { more: json({}) }), /"nobody" not found/)
  })

  it('tells all that is wrong with a VM', async () => {
    const { k } = await inNamespace()
    const input = vm('bad', [{ name: 'b', state: 'broken' }], { runStrategy: 'Sometimes' })
    assert.match(
      await k.fails('create -f -', { input }),
      /^The VirtualMachine "bad" is invalid: spec.runStrategy: Unsupported value: "Sometimes": supported values: "Always", "Halted", "Manual", "RerunOnFailure", "Once"$/m,
    )
    input.spec.runStrategy = 'Always'
    input.spec.running = true
    const told = await k.fails('apply -f -', { input })
    assert.match(told, /^\* spec.running: running and runstrategy are mutually exclusive$/m)
    assert.match(
      told,
      /^\* spec.template.spec.domain.devices.interfaces\[1\].state: logical b interface state value is unsupported: broken$/m,
    )
    input.spec.bogus = 1
    assert.match(await k.fails('create -f -', { input }), /strict decoding error: unknown field "spec.bogus"$/m)
    const migration = {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachineInstanceMigration',
      metadata: { name: 'm' },
      spec: { vmiName: 'nowhere' },
    }
    assert.match(
      await k.fails('create -f -', { input: migration }),
      /^The VirtualMachineInstanceMigration "m" is invalid: spec.vmiName: the VMI ".*\/nowhere" does not exist/,
    )
  })

  it('warns of unknown fields when asked only to warn', async () => {
    const { k } = await inNamespace()
    const input = vm('a', [], { runStrategy: 'Halted', one: 1, two: 2 })
    const { code, err } = await k.run(['create', '--validate=warn', '-f', '-'], { input })
    const warnings = 'Warning: unknown field "spec.one"\nWarning: unknown field "spec.two"\n'
    assert.deepEqual([code, err], [0, warnings])
    const refused = { ...input, metadata: { name: 'b' }, spec: { ...input.spec, runStrategy: 'Sometimes' } }
    const told = await k.fails('create --validate=warn -f -', { input: refused })
    assert.ok(
      told.startsWith(`${warnings}The VirtualMachine "b" is invalid: spec.runStrategy: Unsupported value`),
      told,
    )
  })

  it('edits a VM in an editor, and a namespace too', async () => {
    const { k, ns } = await withVm()
    await k.ok('patch vm a --type=json', { more: json([interfaceState(0, 'up')]) })
    const EDITOR = await k.editor('edit-state', 's/state: up/state: down/')
    assert.equal(await k.ok('edit vm a', { env: { EDITOR } }), 'virtualmachine.kubevirt.io/a edited\n')
    await cluster.api.until('the link is down', vmisPath(ns, 'a'), (one) => linkStates(one)?.[0] === 'default down')
    const { code, err } = await k.run(['edit', 'vm', 'a'], { env: { EDITOR: 'true' } })
    assert.deepEqual([code, err], [0, 'Edit cancelled, no changes made.\n'])
    const relabel = await k.editor('edit-labels', 's/^  name: .*/&\\n  labels: {edited: "yes"}/')
    assert.equal(await k.ok(`edit namespace ${ns}`, { env: { EDITOR: relabel } }), `namespace/${ns} edited\n`)
    assert.match(await k.ok('get ns -l edited=yes -o name'), new RegExp(`namespace/${ns}`))
  })

  it('replaces what is newest and refuses what is old', async () => {
    const { k } = await inNamespace(['red'])
    const old = JSON.parse(await k.ok('get net-attach-def red -o json'))
    const input = { ...old, spec: { config: '{}' } }
    assert.match(await k.ok('replace -f -', { input }), /red replaced/)
    assert.match(
      await k.fails('replace -f -', { input: old }),
      /^Error from server \(Conflict\): error when replacing "STDIN": Operation cannot be fulfilled on network-attachment-definitions.k8s.cni.cncf.io "red": the object has been modified; please apply/,
    )
  })

  it('follows a VM through its life with get -w', async () => {
    const { k, ns } = await inNamespace()
    await run(cluster.api, ns, vm('a'))
    const watch = k.start('get vm -w')
    const events = k.start('get vmi -w --output-watch-events --no-headers')
    try {
      const has = (lines: readonly string[], pattern: RegExp) =>
        eventually(`${pattern}`, () => lines.some((line) => pattern.test(line)))
      await has(watch.lines, /^a +\S+ +Running +True/)
      await has(events.lines, /^ADDED +a/)
      await cluster.api.patch(vmsPath(ns, 'a'), { spec: { runStrategy: 'Halted' } })
      await has(watch.lines, /^a +\S+ +Stopped +False/)
      await has(events.lines, /^DELETED +a/)
      assert.match(watch.lines[0] ?? '', /^NAME +AGE +STATUS +READY/)
      assert.equal(watch.lines.filter((line) => line.startsWith('NAME')).length, 1)
    } finally {
      await Promise.all([watch.stop(), events.stop()])
    }
  })

  it('waits for what comes, and gives up in time', async () => {
    const { k } = await withVm()
    assert.equal(
      await k.ok('wait vm a --for=condition=Ready --timeout=30s'),
      'virtualmachine.kubevirt.io/a condition met\n',
    )
    assert.match(
      await k.fails('wait vm a --for=condition=Nope --timeout=1s'),
      /^error: timed out waiting for the condition on virtualmachines\/a\n$/m,
    )
    await k.ok('delete vm a --wait=false')
    await k.ok('wait vm a --for=delete --timeout=30s')
  })

  it('deletes a VM and waits until nothing is left of it', async () => {
    const { k } = await withVm()
    assert.equal(
      await k.ok('delete vm a --dry-run=server'),
      'virtualmachine.kubevirt.io "a" deleted (server dry run)\n',
    )
    assert.equal(await k.ok('get vm -o name'), 'virtualmachine.kubevirt.io/a\n')
    assert.equal(await k.ok('delete vm a'), 'virtualmachine.kubevirt.io "a" deleted\n')
    assert.equal(await k.ok('get vm,vmi,pods -o name'), '')
    assert.equal(
      await k.fails('delete vm a'),
      'Error from server (NotFound): virtualmachines.kubevirt.io "a" not found\n',
    )
    assert.equal(await k.ok('delete vm a --ignore-not-found'), '')
    assert.equal(await k.ok('delete vm --all'), 'No resources found\n')
  })

  it('describes a VM with its events, and lists events with their object', async () => {
    const { k } = await withVm()
    const text = await eventually('the event is told', async () => {
      const described = await k.ok('describe vm a')
      return described.includes('SuccessfulCreate') && described
    })
    for (const pattern of [
      /^Name: +a$/m,
      /^Kind: +VirtualMachine$/m,
      /^ {2}Run Strategy: +Always$/m,
      /Started the virtual machine by creating the new virtual machine instance a/,
    ])
      assert.match(text, pattern)
    const events = await eventually('the guest’s start is told', async () => {
      const listed = await k.ok('get events')
      return listed.includes('VirtualMachineInstance started.') && listed
    })
    assert.match(events, /Normal +SuccessfulCreate +virtualmachine\/a +Started the virtual machine/)
    assert.match(events, /Normal +Started +virtualmachineinstance\/a +VirtualMachineInstance started\./)
    assert.match(await k.ok('describe node node1'), /Ready +True .*AgentReady/)
  })

  it('explains every field with its type and words', async () => {
    const { k } = await inNamespace()
    const text = await k.ok('explain vm.spec.template.spec.domain.devices.interfaces')
    assert.match(text, /^GROUP: +kubevirt.io$/m)
    assert.match(text, /^FIELD: interfaces <\[\]Object>$/m)
    assert.match(text, /^ {2}state\t<string>\n {4}State of the link: up \(default\), down \(cable pulled\) or absent/m)
    assert.match(await k.ok('explain vmi.status.interfaces.linkState'), /^FIELD: linkState <string>$/m)
    assert.equal(await k.fails('explain vm.nope'), 'error: field "nope" does not exist\n')
    for (const kind of ['vm', 'vmi', 'vmim', 'kv', 'net-attach-def', 'pod', 'node', 'ns', 'events'])
      assert.match(await k.ok(`explain ${kind} --recursive`), /^ {2}metadata\t<ObjectMeta>/m)
  })

  it('cordons a node and takes it back', async () => {
    const { k } = await inNamespace()
    assert.equal(await k.ok('cordon node1'), 'node/node1 cordoned\n')
    assert.equal(await k.ok('get node node1 -o jsonpath={.spec.unschedulable}'), 'true')
    assert.equal(await k.ok('uncordon node1'), 'node/node1 uncordoned\n')
  })
})
