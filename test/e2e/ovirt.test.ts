import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { anySource, nad, vm } from '../../tools/stage/manifests.ts'
import { Peers } from '../../tools/stage/peers.ts'
import { must } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { type Identity, identityOf } from '../../tools/stage/views.ts'
import { Engine } from '../component/engine.ts'

// biome-ignore lint/suspicious/noExplicitAny: answers, looked into as they come
type Any = any

const own = '192.168.87.77'
const addresses = { blue: '192.168.87.200', red: '192.168.87.201' } as const
type Network = keyof typeof addresses

describe('oVirt’s API over a real guest', () => {
  let stage: Stage
  let engine: Engine
  let identity: Identity
  let vm1: string
  let nic1: string
  let profiles: Readonly<Record<string, string>>
  const peers = new Peers()

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(nad('blue', undefined, anySource), nad('red', undefined, anySource))
    await stage.apply(vm('vm1', { secondary: { blue: undefined }, graceSeconds: 0 }))
    await writeFile(`${stage.dir}/password`, 'sesame\n')
    const { code, stdout, stderr } = await stage.patchbay(
      ...['user', 'create', 'admin', '--group', 'system:masters', '--password-file', `${stage.dir}/password`],
    )
    assert.equal(code, 0, stderr)
    assert.match(stdout, /User admin@internal signs in to oVirt’s API with the password/)
    await connect()
    await stage.waitFor('vm1', 'AgentConnected')
    for (const [network, address] of Object.entries(addresses)) await peers.add(`br-${network}`, address)
    identity = await identityOf(stage, 'vm1')
    vm1 = (await engine.get('vms?search=name%3Dvm1')).vm[0].id
    const { nic } = await engine.get(`vms/${vm1}/nics`)
    nic1 = nic.find(({ name }: Any) => name === 'blue').id
    const { vnic_profile } = await engine.get('vnicprofiles')
    profiles = Object.fromEntries(vnic_profile.map(({ name, id }: Any) => [name, id]))
  })
  after(async () => {
    engine?.api.close()
    await stage.stop()
    await stage.down()
    await peers.remove()
    await stage[Symbol.asyncDispose]()
  })

  const connect = async () => {
    engine?.api.close()
    const ca = await must('curl', ['-sk', 'https://127.0.0.1:7444/ca.crt'])
    engine = new Engine(7444, ca, 'admin@internal:sesame')
  }
  const at = (nic = nic1) => `vms/${vm1}/nics/${nic}`
  const carrier = (nic: string) => stage.guest('vm1', `cat /sys/class/net/${nic}/carrier`)
  const cards = async () => (await stage.guest('vm1', 'ls /sys/class/net')).split(/\s+/).filter((one) => one !== 'lo')
  const reaches = async (network: Network) => {
    await stage.guest('vm1', `ip addr add ${own}/24 dev eth1`)
    const said = await stage.guest(
      'vm1',
      `ping -c 2 -W 1 -I eth1 ${addresses[network]} >/dev/null && echo yes || echo no`,
    )
    await stage.guest('vm1', `ip addr del ${own}/24 dev eth1`)
    return said === 'yes'
  }
  /** Carrier changes reach the guest's kernel a moment after the hypervisor. */
  const hasCarrier = (nic: string, wanted: '0' | '1') =>
    eventually(`carrier ${wanted}`, async () => (await carrier(nic)) === wanted, { deadlineMs: patienceMs })
  const newest = async () => (await engine.events())[0]?.[1]

  test('T12, T13: linked false takes the carrier away, linked true gives it back, and the card is the same', async () => {
    assert.equal(await reaches('blue'), true)
    const down = await engine.put(at(), '<nic><linked>false</linked></nic>')
    assert.equal(down.linked, 'false')
    await hasCarrier('eth1', '0')
    const kubectl = await stage.k(
      ...['get', 'vm', 'vm1', '-o', 'jsonpath={.spec.template.spec.domain.devices.interfaces[1].state}'],
    )
    assert.equal(kubectl, 'down')
    assert.match((await newest()) ?? '', /Link State is DOWN\. \(User: admin@internal\)$/)
    await engine.put(at(), '<nic><linked>true</linked></nic>')
    await hasCarrier('eth1', '1')
    assert.equal(await reaches('blue'), true)
    assert.deepEqual(await identityOf(stage, 'vm1'), identity)
  })

  test('T15: another profile moves the card to its network, with its MAC and PCI address', async () => {
    await engine.put(at(), `<nic><vnic_profile id="${profiles.red}"/></nic>`)
    assert.equal(await reaches('red'), true)
    assert.equal(await reaches('blue'), false)
    assert.deepEqual(await identityOf(stage, 'vm1'), identity)
  })

  test('T16, T17: no profile is no network, and a profile brings the card back', async () => {
    const off = await engine.put(at(), '<nic><vnic_profile/></nic>')
    assert.deepEqual([off.linked, off.vnic_profile], ['true', undefined])
    await hasCarrier('eth1', '0')
    assert.equal(await reaches('red'), false)
    await engine.put(at(), `<nic><vnic_profile id="${profiles.blue}"/></nic>`)
    await hasCarrier('eth1', '1')
    assert.equal(await reaches('blue'), true)
    assert.deepEqual(await identityOf(stage, 'vm1'), identity)
  })

  test('T18, T21, T22, T24: a card comes, is unplugged and plugged, and goes, each answered when the guest has it', async () => {
    const made = await engine.post(
      `vms/${vm1}/nics`,
      `<nic><name>nic2</name><vnic_profile id="${profiles.red}"/></nic>`,
    )
    const has = (count: number) =>
      eventually(`${count} cards`, async () => (await cards()).length === count, { deadlineMs: patienceMs })
    await has(3)
    assert.equal(await stage.guest('vm1', 'cat /sys/class/net/eth2/address'), made.mac.address)
    await engine.put(at(made.id), { linked: false })
    await engine.post(`${at(made.id)}/deactivate`)
    // The answer came after the guest had let go of it.
    assert.equal((await cards()).length, 2)
    await engine.post(`${at(made.id)}/activate`)
    await has(3)
    assert.equal(await stage.guest('vm1', 'cat /sys/class/net/eth2/address'), made.mac.address)
    assert.equal(await carrier('eth2'), '0')
    await engine.post(`${at(made.id)}/deactivate`)
    await engine.remove(at(made.id))
    assert.equal((await cards()).length, 2)
  })

  test('T26, T33: an unplugged card gets another MAC address; the card on the pod network stays, and its link is cut', async () => {
    const body = `<nic><name>nic3</name><vnic_profile id="${profiles.red}"/></nic>`
    const { id } = await engine.post(`vms/${vm1}/nics`, body)
    await engine.post(`${at(id)}/deactivate`)
    await engine.put(at(id), '<nic><mac><address>02:00:00:00:26:26</address></mac></nic>')
    await engine.post(`${at(id)}/activate`)
    await eventually('the guest has it', async () => (await cards()).length === 3, { deadlineMs: patienceMs })
    assert.equal(await stage.guest('vm1', 'cat /sys/class/net/eth2/address'), '02:00:00:00:26:26')
    await engine.post(`${at(id)}/deactivate`)
    await engine.remove(at(id))
    const { nic } = await engine.get(`vms/${vm1}/nics`)
    const pod = nic.find(({ name }: Any) => name === 'default').id
    assert.equal((await engine.refused('POST', `${at(pod)}/deactivate`, '<action/>'))[0], 409)
    await engine.put(at(pod), { linked: false })
    await hasCarrier('eth0', '0')
    await engine.put(at(pod), { linked: true })
    await hasCarrier('eth0', '1')
  })

  test('T32: what is put while a VM is down is so in its guest', async () => {
    await stage.apply(vm('vm2', { runStrategy: 'Halted', secondary: { blue: undefined }, graceSeconds: 0 }))
    const { id } = (await engine.get('vms?search=name%3Dvm2')).vm[0]
    const { nic } = await engine.get(`vms/${id}/nics`)
    const [, { id: card }] = nic
    const mac = '02:00:00:00:32:32'
    await engine.put(`vms/${id}/nics/${card}`, {
      ...{ linked: 'false', interface: 'e1000', mac: { address: mac } },
      vnic_profile: { id: profiles.red },
    })
    await engine.post(`vms/${id}/start`)
    await stage.waitFor('vm2', 'Ready')
    const xml = await stage.virsh('vm2', 'dumpxml', 'default_vm2')
    const [own = ''] = (xml.match(/<interface[\s\S]*?<\/interface>/g) ?? []).filter((one) => one.includes(mac))
    assert.match(own, /<model type='e1000'\/>/)
    assert.match(own, /<link state='down'\/>/)
    await engine.post(`vms/${id}/stop`)
    await eventually('it is down', async () => (await engine.get(`vms/${id}`)).status === 'down', {
      deadlineMs: patienceMs,
    })
    await engine.remove(`vms/${id}`)
  })

  test('F52: what the guest’s agent tells of its devices is found at the card with their MAC address', async () => {
    const { mac } = await engine.get(at())
    const found = await eventually(
      'the agent tells of it',
      async () => (await engine.get(`${at()}/reporteddevices`)).reported_device?.[0],
      { deadlineMs: patienceMs },
    )
    assert.deepEqual([found.name, found.type, found.mac.address], ['eth1', 'network', mac.address])
    const all = (await engine.get(`vms/${vm1}/reporteddevices`)).reported_device
    assert.deepEqual(all.map(({ name }: Any) => name).toSorted(), ['eth0', 'eth1'])
    assert.match(all.find(({ name }: Any) => name === 'eth0').ips.ip[0].address, /^10\./)
    assert.equal((await engine.get(`vms/${vm1}/reporteddevices/${found.id}`)).id, found.id)
  })

  test('T34: what kubectl cuts is seen here, and is put back from here', async () => {
    const patch = [{ op: 'add', path: '/spec/template/spec/domain/devices/interfaces/1/state', value: 'down' }]
    await stage.k('patch', 'vm', 'vm1', '--type=json', '-p', JSON.stringify(patch))
    await hasCarrier('eth1', '0')
    assert.equal((await engine.get(at())).linked, 'false')
    await eventually('the entry of it', async () =>
      /Link State is DOWN\. \(User: admin@internal\)/.test((await newest()) ?? ''),
    )
    await engine.put(at(), { linked: true })
    await hasCarrier('eth1', '1')
  })

  test('a write that the server does not live to answer is done or not, and never half', async () => {
    const rounds: [string, string, string][] = [
      ['PUT', at(), '<nic><linked>false</linked></nic>'],
      ['PUT', at(), `<nic><linked>true</linked><vnic_profile id="${profiles.red}"/></nic>`],
      ['PUT', at(), '<nic><vnic_profile/></nic>'],
      ['POST', `vms/${vm1}/nics`, `<nic><name>late</name><vnic_profile id="${profiles.red}"/></nic>`],
    ]
    for (const [method, where, body] of rounds) {
      const asked = engine.send(method, where, { body }).then(
        ({ code }) => code,
        () => 'cut',
      )
      await eventually('it is written', async () => (await stage.logs()).includes('Changing guest') || (await asked))
      await stage.kill()
      await asked
      await stage.up()
      await connect()
      // Whatever was written is what the guest comes to.
      await eventually(
        `the guest is as declared after ${body}`,
        async () => {
          const { nic } = await engine.get(`vms/${vm1}/nics`)
          return nic.every(({ synced }: Any) => synced === 'true')
        },
        { deadlineMs: patienceMs },
      )
    }
    const { nic } = await engine.get(`vms/${vm1}/nics`)
    for (const { id, name } of nic.filter((one: Any) => one.name === 'late')) {
      assert.equal(name, 'late')
      await engine.post(`${at(id)}/deactivate`)
      await engine.remove(at(id))
    }
    await engine.put(at(), `<nic><linked>true</linked><vnic_profile id="${profiles.blue}"/></nic>`)
    assert.equal(await reaches('blue'), true)
  })

  test('T14: a link that is down is so when the VM starts again', async () => {
    await engine.put(at(), { linked: false })
    await engine.post(`vms/${vm1}/stop`)
    const is = (status: string) =>
      eventually(`it is ${status}`, async () => (await engine.get(`vms/${vm1}`)).status === status, {
        deadlineMs: patienceMs,
      })
    await is('down')
    await engine.post(`vms/${vm1}/start`)
    await is('up')
    await stage.waitFor('vm1', 'AgentConnected')
    assert.equal((await engine.get(at())).linked, 'false')
    assert.equal(await carrier('eth1'), '0')
    const { body } = await stage.api.call('GET', path.vmi('vm1'))
    assert.equal(body.status.interfaces[1].linkState, 'down')
  })
})
