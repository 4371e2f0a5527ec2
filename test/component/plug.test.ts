import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, nadsPath, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, nad, podOf, run, vm } from './manifests.ts'

describe('interfaces of a running VM', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  const start = async (nics: readonly Any[] = [], nads: readonly string[] = ['red', 'blue']) => {
    const ns = await makeNamespace(cluster.api, nads)
    await run(cluster.api, ns, vm('a', nics))
    return ns
  }
  const edit = async (ns: string, change: (spec: Any) => void) => {
    // A controller may write the status between the two: its owner edits again then.
    const write = async () => {
      const object = await cluster.api.get(vmsPath(ns, 'a'))
      change(object.spec.template.spec)
      const answer = await cluster.api.send('PUT', vmsPath(ns, 'a'), { body: object })
      return answer.code !== 409 && answer
    }
    const { code, json } = await eventually('an edit', write)
    assert.equal(code, 200, JSON.stringify(json))
  }
  const add =
    (name: string, { network = name, ...more }: Any = {}) =>
    (spec: Any) => {
      spec.domain.devices.interfaces.push({ name, bridge: {}, ...more })
      spec.networks.push({ name, multus: { networkName: network } })
    }
  const set = (name: string, state: string | undefined) => (spec: Any) => {
    spec.domain.devices.interfaces.find((one: Any) => one.name === name).state = state
  }
  const statusOf = (vmi: Any, name: string) => vmi?.status?.interfaces?.find((one: Any) => one.name === name)
  const inGuest = (ns: string, ...names: string[]) =>
    cluster.api.until(`in the guest: ${names}`, vmisPath(ns, 'a'), (vmi) => {
      const has = vmi.status.interfaces
        .filter((one: Any) => one.infoSource.includes('domain'))
        .map((one: Any) => one.name)
      return has.join() === ['default', ...names].join()
    })
  const specNames = (object: Any) =>
    (object.spec.template?.spec ?? object.spec).domain.devices.interfaces.map((one: Any) => one.name).join()
  const eventsOf = async (ns: string, reason: string): Promise<string[]> =>
    (await cluster.api.list(`/api/v1/namespaces/${ns}/events`))
      .filter((event) => event.reason === reason)
      .map((event) => event.message)

  it('are plugged in place: same pod, no migration, no restart; several at once and two on one network', async () => {
    const ns = await start()
    const before = (await podOf(cluster.api, ns, 'a')).metadata.uid
    await edit(ns, (spec) => {
      add('red')(spec)
      add('blue', { state: 'down', macAddress: '02:00:00:00:01:01' })(spec)
      add('again', { network: 'red' })(spec)
    })
    const vmi = await inGuest(ns, 'red', 'blue', 'again')
    assert.equal(statusOf(vmi, 'blue').linkState, 'down')
    assert.equal(statusOf(vmi, 'blue').mac, '02:00:00:00:01:01')
    assert.equal(statusOf(vmi, 'red').linkState, 'up')
    const object = await cluster.api.get(vmsPath(ns, 'a'))
    const macs = object.spec.template.spec.domain.devices.interfaces.map((one: Any) => one.macAddress)
    assert.deepEqual(
      macs.slice(1),
      ['red', 'blue', 'again'].map((name) => statusOf(vmi, name).mac),
    )
    assert.equal(condition(object, 'RestartRequired'), undefined)
    const pod = await podOf(cluster.api, ns, 'a')
    assert.equal(pod.metadata.uid, before)
    assert.equal(JSON.parse(pod.metadata.annotations['k8s.v1.cni.cncf.io/networks']).length, 3)
    await cluster.api.until(
      'the answer of the sandbox',
      podsPath(ns, pod.metadata.name),
      (one) => JSON.parse(one.metadata.annotations['k8s.v1.cni.cncf.io/network-status']).length === 4,
    )
    assert.deepEqual(
      await cluster.api.list(`/apis/kubevirt.io/v1/namespaces/${ns}/virtualmachineinstancemigrations`),
      [],
    )
    await eventually('the events', async () => (await eventsOf(ns, 'NicPlugged')).length === 3)
  })

  it('are unplugged by absent: guest, sandbox, instance and VM forget them, the last one too', async () => {
    const ns = await start([{ name: 'red' }, { name: 'blue', state: 'down' }])
    await edit(ns, set('blue', 'absent'))
    await cluster.api.until('the VM forgot it', vmsPath(ns, 'a'), (one) => specNames(one) === 'default,red')
    const vmi = await inGuest(ns, 'red')
    assert.equal(specNames(vmi), 'default,red')
    await edit(ns, set('red', 'absent'))
    await cluster.api.until('the VM forgot it', vmsPath(ns, 'a'), (one) => specNames(one) === 'default')
    const pod = await cluster.api.until(
      'the pod asks for none',
      podsPath(ns, (await podOf(cluster.api, ns, 'a')).metadata.name),
      (one) => one.metadata.annotations['k8s.v1.cni.cncf.io/networks'] === '',
    )
    assert.equal(JSON.parse(pod.metadata.annotations['k8s.v1.cni.cncf.io/network-status']).length, 1)
    assert.equal(condition(await cluster.api.get(vmsPath(ns, 'a')), 'RestartRequired'), undefined)
    assert.equal((await eventsOf(ns, 'NicUnplugged')).length, 2)
  })

  it('are plugged and unplugged in one patch', async () => {
    const ns = await start([{ name: 'red' }])
    await edit(ns, (spec) => {
      set('red', 'absent')(spec)
      add('blue')(spec)
    })
    await inGuest(ns, 'blue')
    await cluster.api.until('the VM forgot it', vmsPath(ns, 'a'), (one) => specNames(one) === 'default,blue')
  })

  it('stay ordinary ones after a restart, and change on a stopped VM without further ado', async () => {
    const ns = await start()
    await edit(ns, add('red'))
    await inGuest(ns, 'red')
    await cluster.api.patch(vmsPath(ns, 'a'), { spec: { runStrategy: 'Halted' } })
    await cluster.api.until('stopped', vmsPath(ns, 'a'), (one) => one.status.printableStatus === 'Stopped')
    await edit(ns, (spec) => {
      set('red', 'absent')(spec)
      add('blue')(spec)
    })
    await cluster.api.until('cleaned at once', vmsPath(ns, 'a'), (one) => specNames(one) === 'default,blue')
    await cluster.api.patch(vmsPath(ns, 'a'), { spec: { runStrategy: 'Always' } })
    await cluster.api.until('running', vmsPath(ns, 'a'), (one) => one.status.printableStatus === 'Running')
    await inGuest(ns, 'blue')
  })

  it('that cannot be plugged need a restart and leave the instance alone', async () => {
    const ns = await start()
    await edit(ns, (spec) => {
      spec.domain.devices.interfaces.push({ name: 'own', binding: { name: 'plugin' } })
      spec.networks.push({ name: 'own', multus: { networkName: 'red' } })
    })
    await cluster.api.until('told', vmsPath(ns, 'a'), (one) => condition(one, 'RestartRequired'))
    assert.equal(specNames(await cluster.api.get(vmisPath(ns, 'a'))), 'default')
  })

  it('whose network does not come hold up no other; it is told, and plugged once it is there', async () => {
    const ns = await start([], ['red'])
    await edit(ns, (spec) => {
      add('later')(spec)
      add('red')(spec)
    })
    const vmi = await inGuest(ns, 'red')
    const trouble = await cluster.api.until('told', vmisPath(ns, 'a'), (one) => condition(one, 'Synchronized'))
    assert.match(condition(trouble, 'Synchronized').message, /^interface "later" cannot be plugged: .*does not exist/)
    assert.equal(vmi.status.phase, 'Running')
    await eventually('the event', async () => (await eventsOf(ns, 'NicHotplug')).length > 0)
    await cluster.api.patch(vmsPath(ns, 'a'), [
      { op: 'add', path: '/spec/template/spec/domain/devices/interfaces/2/state', value: 'down' },
    ])
    await cluster.api.until('links go on', vmisPath(ns, 'a'), (one) => statusOf(one, 'red').linkState === 'down')
    await cluster.api.create(nadsPath(ns), nad('later'))
    const healed = await inGuest(ns, 'later', 'red')
    await cluster.api.until('healed', vmisPath(ns, 'a'), (one) => !condition(one, 'Synchronized'))
    assert.equal(statusOf(healed, 'later').linkState, 'up')
  })

  it('that a guest does not let go of are told, and plugged again when absent is taken back', async () => {
    const ns = await start([{ name: 'sticky', nad: 'red' }])
    await edit(ns, set('sticky', 'absent'))
    const told = await cluster.api.until('told', vmisPath(ns, 'a'), (one) => condition(one, 'Synchronized'))
    assert.match(
      condition(told, 'Synchronized').message,
      /^interface "sticky" cannot be unplugged: The guest has not let go/,
    )
    assert.equal(statusOf(told, 'sticky').linkState, 'up')
    await edit(ns, set('sticky', 'up'))
    await cluster.api.until('taken back', vmisPath(ns, 'a'), (one) => !condition(one, 'Synchronized'))
    await inGuest(ns, 'sticky')
  })

  it('that are parked stay in the VM, and come back with the MAC they had', async () => {
    const ns = await start([{ name: 'red' }])
    const mac = statusOf(await cluster.api.get(vmisPath(ns, 'a')), 'red').mac
    await cluster.api.patch(vmsPath(ns, 'a'), { metadata: { annotations: { 'patchbay.dev/park-absent': 'true' } } })
    await edit(ns, set('red', 'absent'))
    await inGuest(ns)
    await cluster.api.until('the instance forgot it', vmisPath(ns, 'a'), (one) => specNames(one) === 'default')
    assert.equal(specNames(await cluster.api.get(vmsPath(ns, 'a'))), 'default,red')
    await edit(ns, set('red', 'up'))
    assert.equal(statusOf(await inGuest(ns, 'red'), 'red').mac, mac)
  })

  it('that are parked come back with the link they had, by patch or by verb, also after a stop and a start', async () => {
    const ns = await start([{ name: 'red' }])
    const annotated = (links: string | null) => ({ metadata: { annotations: { 'patchbay.dev/parked-links': links } } })
    const linksOf = (object: Any) => object.metadata.annotations['patchbay.dev/parked-links']
    await cluster.api.patch(vmsPath(ns, 'a'), { metadata: { annotations: { 'patchbay.dev/park-absent': 'true' } } })
    await edit(ns, set('red', 'down'))
    const { mac } = statusOf(await cluster.api.get(vmisPath(ns, 'a')), 'red')
    const park = async () => {
      await cluster.api.send(
        'PUT',
        `/apis/subresources.kubevirt.io/v1/namespaces/${ns}/virtualmachines/a/removeinterface`,
        {
          body: { name: 'red' },
        },
      )
      await inGuest(ns)
    }
    await park()
    assert.equal(linksOf(await cluster.api.get(vmsPath(ns, 'a'))), '{"red":"down"}')
    const stopped = (runStrategy: string) => cluster.api.patch(vmsPath(ns, 'a'), { spec: { runStrategy } })
    await stopped('Halted')
    await cluster.api.until('it has stopped', vmsPath(ns, 'a'), (one) => one.status.printableStatus === 'Stopped')
    await stopped('Always')
    await cluster.api.until('it runs again', vmsPath(ns, 'a'), (one) => one.status.printableStatus === 'Running')
    const waiting = await cluster.api.get(vmsPath(ns, 'a'))
    assert.deepEqual([specNames(waiting), linksOf(waiting)], ['default,red', '{"red":"down"}'])
    const { code } = await cluster.api.send(
      'PUT',
      `/apis/subresources.kubevirt.io/v1/namespaces/${ns}/virtualmachines/a/addinterface`,
      { body: { name: 'red', networkAttachmentDefinitionName: 'red' } },
    )
    assert.equal(code, 202)
    const back = statusOf(await inGuest(ns, 'red'), 'red')
    assert.deepEqual([back.linkState, back.mac], ['down', mac])
    const plugged = await cluster.api.get(vmsPath(ns, 'a'))
    assert.deepEqual(
      [linksOf(plugged), plugged.spec.template.spec.domain.devices.interfaces[1].state],
      [undefined, 'down'],
    )
    // The owner may say otherwise meanwhile.
    await park()
    await cluster.api.patch(vmsPath(ns, 'a'), annotated(null))
    await edit(ns, (spec) => {
      delete spec.domain.devices.interfaces[1].state
    })
    assert.equal(statusOf(await inGuest(ns, 'red'), 'red').linkState, 'up')
    const bad = await cluster.api.send('PATCH', vmsPath(ns, 'a'), {
      body: annotated('red'),
      type: 'application/merge-patch+json',
    })
    assert.equal(bad.code, 422)
    assert.match(bad.json.message, /the annotation patchbay\.dev\/parked-links has to be a JSON object/)
  })

  it('beyond the ports a guest has are told, and harm nothing', async () => {
    const ns = await start()
    await edit(ns, (spec) => {
      for (let i = 0; i < 12; i++) add(`n${i}`, { network: 'red' })(spec)
    })
    const told = await cluster.api.until('told', vmisPath(ns, 'a'), (one) => condition(one, 'Synchronized'))
    assert.match(
      condition(told, 'Synchronized').message,
      /^interface "n11" cannot be plugged: No more available PCI slots/,
    )
    assert.equal(told.status.phase, 'Running')
  })
})
