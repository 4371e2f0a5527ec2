import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, podOf, run, vm } from './manifests.ts'

// Rows of facts/kubevirt.md §12, by their numbers.

const kubevirtPath = '/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt'

describe('what KubeVirt does', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
    // Its default, and not ours.
    const configuration = { network: { permitBridgeInterfaceOnPodNetwork: true } }
    await cluster.api.patch(kubevirtPath, { spec: { configuration } })
  })
  after(() => cluster?.stop())

  const halted = (manifest: Any) => ({ ...manifest, spec: { ...manifest.spec, runStrategy: 'Halted' } })
  /** A VM whose one interface has this binding and state. */
  const withNic = (nic: Any, network: Any = { multus: { networkName: 'red' } }) => {
    const manifest = halted(vm('a'))
    manifest.spec.template.spec.domain.devices.interfaces = [{ name: 'foo', ...nic }]
    manifest.spec.template.spec.networks = [{ name: 'foo', ...network }]
    return manifest
  }
  const create = async (manifest: Any) => {
    const ns = await makeNamespace(cluster.api)
    return cluster.api.send('POST', vmsPath(ns), { body: manifest })
  }
  const refused = async (manifest: Any, ...messages: string[]) => {
    const { code, json } = await create(manifest)
    assert.equal(code, 422, JSON.stringify(json))
    assert.deepEqual(
      json.details.causes.map((cause: Any) => cause.message),
      messages,
    )
    assert.equal(
      json.message,
      `admission webhook "virtualmachine-validator.kubevirt.io" denied the request: ${messages.join(', ')}`,
    )
  }
  const interfacesOf = (object: Any): Any[] => (object.spec.template?.spec ?? object.spec).domain.devices.interfaces
  const running = async (nads: readonly string[] = ['red']) => {
    const ns = await makeNamespace(cluster.api, nads)
    await run(
      cluster.api,
      ns,
      vm(
        'a',
        nads.map((name) => ({ name })),
      ),
    )
    return ns
  }
  const restartRequired = (ns: string, wanted: boolean) =>
    cluster.api.until(
      `RestartRequired ${wanted}`,
      vmsPath(ns, 'a'),
      (one) => Boolean(condition(one, 'RestartRequired')) === wanted,
    )
  const edit = async (ns: string, change: (spec: Any) => void) => {
    const object = await cluster.api.get(vmsPath(ns, 'a'))
    change(object.spec.template.spec)
    const { code, json } = await cluster.api.send('PUT', vmsPath(ns, 'a'), { body: object })
    assert.equal(code, 200, JSON.stringify(json))
  }

  it('1: the state of a bridge may be empty, up, down or absent', async () => {
    for (const state of ['', 'up', 'down', 'absent'])
      assert.equal((await create(withNic({ bridge: {}, state }))).code, 201, state)
  })

  it('2: another state is refused; linkDown is down, kept as written', async () => {
    await refused(withNic({ bridge: {}, state: 'foo' }), 'logical foo interface state value is unsupported: foo')
    const { code, json } = await create(withNic({ bridge: {}, state: 'linkDown' }))
    assert.deepEqual([code, interfacesOf(json)[0].state], [201, 'linkDown'])
  })

  it('3: SR-IOV has no link state', async () => {
    for (const state of ['up', 'down', 'linkDown'])
      await refused(
        withNic({ sriov: {}, state }),
        `"foo" interface's state "${state}" is not supported for SR-IOV NICs`,
      )
  })

  it('4 and 5: absent is for bridges on secondary networks', async () => {
    const onlyBridge = `"foo" interface's state "absent" is supported only for bridge binding`
    const notDefault = `"foo" interface's state "absent" is not supported on default networks`
    await refused(withNic({ masquerade: {}, state: 'absent' }, { pod: {} }), onlyBridge, notDefault)
    await refused(withNic({ sriov: {}, state: 'absent' }), onlyBridge)
    await refused(withNic({ binding: { name: 'p' }, state: 'absent' }), onlyBridge)
    await refused(withNic({ bridge: {}, state: 'absent' }, { pod: {} }), notDefault)
  })

  it('14 and 44: guest-only interfaces have no link state, and there are ten at most', async () => {
    const ns = await running([])
    const { uid } = (await podOf(cluster.api, ns, 'a')).metadata
    cluster.sandboxes.addGuestOnly(uid, 12)
    const { status } = await cluster.api.until('ten more', vmisPath(ns, 'a'), (vmi) => vmi.status.interfaces.length > 1)
    assert.equal(status.interfaces.length, 11)
    for (const one of status.interfaces.slice(1))
      assert.deepEqual([one.infoSource, one.linkState], ['guest-agent', undefined])
  })

  it('29 and 30: an interface that is taken out is not unplugged: RestartRequired, and the guest keeps it', async () => {
    const ns = await running()
    await edit(ns, (spec) => {
      spec.domain.devices.interfaces.pop()
      spec.networks.pop()
    })
    const object = await restartRequired(ns, true)
    const { message, status } = condition(object, 'RestartRequired')
    assert.deepEqual([status, message], ['True', 'a non-live-updatable field was changed in the template spec'])
    const vmi = await cluster.api.get(vmisPath(ns, 'a'))
    assert.deepEqual(
      vmi.status.interfaces.map((one: Any) => one.name),
      ['default', 'red'],
    )
  })

  it('31: so does another model, MAC or binding, until it is taken back', async () => {
    const ns = await running()
    const [, { macAddress }] = interfacesOf(await cluster.api.get(vmsPath(ns, 'a')))
    for (const [there, back] of [
      [{ model: 'e1000' }, { model: undefined }],
      [{ macAddress: '02:00:00:00:00:77' }, { macAddress }],
      [
        { bridge: undefined, sriov: {} },
        { bridge: {}, sriov: undefined },
      ],
    ]) {
      await edit(ns, (spec) => Object.assign(spec.domain.devices.interfaces[1], there))
      await restartRequired(ns, true)
      await edit(ns, (spec) => Object.assign(spec.domain.devices.interfaces[1], back))
      await restartRequired(ns, false)
    }
  })

  it('32: the order of interfaces means nothing', async () => {
    const ns = await running(['red', 'blue'])
    await edit(ns, (spec) => {
      spec.domain.devices.interfaces.reverse()
      spec.networks.reverse()
    })
    const { metadata } = await cluster.api.get(vmsPath(ns, 'a'))
    const seen = await cluster.api.until(
      'seen',
      vmsPath(ns, 'a'),
      (one) => one.status.observedGeneration >= metadata.generation,
    )
    assert.equal(condition(seen, 'RestartRequired'), undefined)
  })

  it('33: owners edit the VM, not the instance', async () => {
    const ns = await running()
    const patch = [{ op: 'add', path: '/spec/domain/devices/interfaces/1/state', value: 'down' }]
    const { code, json } = await cluster.api.send('PATCH', vmisPath(ns, 'a'), {
      body: patch,
      type: 'application/json-patch+json',
    })
    assert.equal(code, 422)
    assert.match(json.message, /update of VMI object is restricted/)
  })

  it('40, 41 and 43: names, sources and order of the status', async () => {
    const ns = await makeNamespace(cluster.api, ['red'])
    const manifest = vm('a', [{ name: 'red' }])
    manifest.spec.template.spec.domain.devices.interfaces.reverse()
    await run(cluster.api, ns, manifest)
    const { status } = await cluster.api.until('told by the agent', vmisPath(ns, 'a'), (vmi) =>
      vmi.status.interfaces.every((one: Any) => one.interfaceName),
    )
    assert.deepEqual(
      status.interfaces.map((one: Any) => [one.name, one.podInterfaceName, one.infoSource]),
      [
        ['default', 'eth0', 'domain, guest-agent'],
        ['red', 'podb1f51a511f1', 'domain, guest-agent, multus-status'],
      ],
    )
    const { json } = await cluster.api.send('GET', vmisPath(ns), {
      headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    })
    const column = json.columnDefinitions.findIndex(({ name }: Any) => name === 'IP')
    assert.equal(json.rows[0].cells[column], status.interfaces[0].ipAddress)
  })

  it('42: queues are those of the CPUs, for virtio', async () => {
    const ns = await makeNamespace(cluster.api, ['red'])
    const manifest = vm('a', [{ name: 'red' }])
    manifest.spec.template.spec.domain.cpu = { cores: 3 }
    manifest.spec.template.spec.domain.devices.networkInterfaceMultiqueue = true
    manifest.spec.template.spec.domain.devices.interfaces[1].model = 'e1000'
    const vmi = await run(cluster.api, ns, manifest)
    assert.deepEqual(
      vmi.status.interfaces.map((one: Any) => one.queueCount),
      [3, 1],
    )
  })

  it('54: conditions of the instance are those of the VM, too', async () => {
    const ns = await running()
    const object = await cluster.api.until('mirrored', vmsPath(ns, 'a'), (one) => condition(one, 'AgentConnected'))
    assert.equal(condition(object, 'AgentConnected').status, 'True')
    cluster.sandboxes.endGuest((await podOf(cluster.api, ns, 'a')).metadata.uid, 'shutdown')
    await cluster.api.until(
      'gone',
      vmsPath(ns, 'a'),
      (one) => !condition(one, 'AgentConnected') || one.status.printableStatus === 'Running',
    )
  })

  it('59: a Multus network can be the default one; it cannot be absent, and excludes the pod network', async () => {
    const ns = await makeNamespace(cluster.api, ['red'])
    const network = { multus: { networkName: 'red', default: true } }
    const manifest = withNic({ bridge: {} }, network)
    await run(cluster.api, ns, { ...manifest, spec: { ...manifest.spec, runStrategy: 'Always' } })
    const [pod] = await cluster.api.list(podsPath(ns))
    assert.equal(pod.metadata.annotations['v1.multus-cni.io/default-network'], `${ns}/red`)
    const { status } = await cluster.api.get(vmisPath(ns, 'a'))
    assert.equal(status.interfaces[0].podInterfaceName, 'eth0')
    await refused(
      withNic({ bridge: {}, state: 'absent' }, network),
      `"foo" interface's state "absent" is not supported on default networks`,
    )
    const both = withNic({ bridge: {} }, network)
    both.spec.template.spec.domain.devices.interfaces.push({ name: 'default', masquerade: {} })
    both.spec.template.spec.networks.push({ name: 'default', pod: {} })
    await refused(both, 'Pod network cannot be defined when Multus default network is defined')
  })

  it('60: 256 interfaces are possible, 257 are not', async () => {
    const many = (count: number) =>
      halted(
        vm(
          'a',
          Array.from({ length: count - 1 }, (_, i) => ({ name: `n${i}`, nad: 'red' })),
        ),
      )
    assert.equal((await create(many(256))).code, 201)
    const { code, json } = await create(many(257))
    assert.equal(code, 422)
    assert.match(
      json.message,
      /spec.template.spec.domain.devices.interfaces: Too many: 257: must have at most 256 items/,
    )
  })

  it('a binding that nothing here can run is taken, and told when the VM starts', async () => {
    const ns = await makeNamespace(cluster.api)
    for (const [name, nic] of [
      ['passt', { passtBinding: {} }],
      ['plugin', { binding: { name: 'mine' } }],
    ] as const) {
      const manifest = withNic(nic, { pod: {} })
      await cluster.api.create(vmsPath(ns), {
        ...manifest,
        metadata: { name },
        spec: { ...manifest.spec, runStrategy: 'Always' },
      })
      const object = await cluster.api.until('told', vmsPath(ns, name), (one) => condition(one, 'Synchronized'))
      assert.match(
        condition(object, 'Synchronized').message,
        /^interface "foo" uses the binding .*; use bridge or masquerade or sriov$/,
      )
    }
    await eventually('the events', async () => {
      const events = await cluster.api.list(`/api/v1/namespaces/${ns}/events`)
      return events.filter(({ reason }) => reason === 'SyncFailed').length === 2
    })
  })

  it('a MAC that another VM has is refused, and free again when that VM goes', async () => {
    const ns = await makeNamespace(cluster.api)
    const manifest = withNic({ bridge: {}, macAddress: '02:11:11:11:11:11' })
    await cluster.api.create(vmsPath(ns), manifest)
    const twin = { ...manifest, metadata: { name: 'b' } }
    const again = await eventually('refused', async () => {
      const { code, json } = await cluster.api.send('POST', `${vmsPath(ns)}?dryRun=All`, { body: twin })
      return code === 422 && json
    })
    assert.match(again.message, new RegExp(`VM ${ns}/a has it; choose another one`))
    await cluster.api.delete(vmsPath(ns, 'a'))
    await eventually('taken', async () => (await cluster.api.send('POST', vmsPath(ns), { body: twin })).code === 201)
  })
})
