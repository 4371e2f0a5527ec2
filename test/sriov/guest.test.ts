import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { RigHost } from '../../tools/rig/host.ts'
import { Rig } from '../../tools/rig/rig.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'

const resource = 'intel.com/net'
const mac = '02:00:00:00:00:11'
/** Where the VM's owner wants the first one in the guest. */
const guestAddress = '0000:05:00.0'
const own = { macAddress: mac, pciAddress: guestAddress }
const [first, second] = ['0000:01:10.0', '0000:01:10.2'] as const

/** Makes the VFs of the first card; no driver of the host takes them. */
const makeVfs = `pf=/sys/bus/pci/devices/0000:01:00.0
  ip link set "$(ls $pf/net)" up
  echo 0 > $pf/sriov_drivers_autoprobe
  echo 3 > $pf/sriov_numvfs`

/** A network of VFs. */
const fast = (name: string, config: object = {}) =>
  nad(name, { cniVersion: '0.3.1', name, type: 'sriov', ...config }, { 'k8s.v1.cni.cncf.io/resourceName': resource })

/** A VM with VFs on networks, by interface, and a bridge for each of the other networks, with the states of their links. */
function machine(
  name: string,
  networks: Readonly<Record<string, object>>,
  bridges: Readonly<Record<string, string | undefined>> = {},
) {
  const one = vm(name, { memory: '160Mi', graceSeconds: 5, secondary: bridges })
  const { spec } = one.spec.template
  const own = Object.entries(networks)
  const interfaces = own.map(([nic, more]) => ({ name: nic, sriov: {}, ...more }))
  const devices = { interfaces: [...spec.domain.devices.interfaces, ...interfaces] }
  const secondary = own.map(([nic]) => ({ name: nic, multus: { networkName: nic } }))
  const template = {
    spec: { ...spec, domain: { ...spec.domain, devices }, networks: [...spec.networks, ...secondary] },
  }
  return { ...one, spec: { ...one.spec, template } }
}

describe('a guest with virtual functions', () => {
  let rig: Rig
  let host: RigHost
  let untouched: Awaited<ReturnType<typeof vfs>>

  const vfList = async () => JSON.parse(await rig.run('ip -j link show eth0'))[0].vfinfo_list
  /** What the host shows of its VFs: drivers, overrides, groups that are handed out, and settings. */
  const vfs = async () => ({
    bound: await rig.run(`for vf in /sys/bus/pci/devices/0000:01:10.*; do
      echo "$vf $(readlink $vf/driver || true) $(cat $vf/driver_override)"; done; ls /dev/vfio`),
    settings: await vfList(),
  })
  const interfaces = async (name: string) =>
    JSON.parse(await host.kubectl(`get vmi ${name} -o jsonpath='{.status.interfaces}'`))
  const cardOf = async (name: string, nic: string) =>
    (await interfaces(name)).find((one: { name: string }) => one.name === nic)
  const running = (name: string) => host.until(`k get vmi ${name} -o jsonpath='{.status.phase}' | grep Running`)
  const whole = (name: string, nic: string) =>
    host.until(
      `k get vmi ${name} -o jsonpath='{.status.interfaces[?(@.name=="${nic}")].infoSource}' | grep 'domain, guest-agent, multus-status'`,
    )

  const configure = (spec: object) =>
    host.kubectl(`patch kubevirt kubevirt -n kubevirt --type=merge -p '${JSON.stringify({ spec })}'`)

  before(
    async () => {
      rig = await Rig.start()
      await rig.run(`for module in igb vfio_iommu_type1 vfio-pci; do modprobe $module; done; ${makeVfs}`)
      untouched = await vfs()
      host = await RigHost.start(rig)
      await host.apply(
        {
          ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'sriovdp-config', namespace: 'kube-system' } },
          data: { 'config.json': JSON.stringify({ resourceList: [{ resourceName: 'net' }] }) },
        },
        fast('fast', { vlan: 7 }),
        fast('more'),
      )
      await host.until(`k get node -o jsonpath='{.items[0].status.allocatable}' | grep '"${resource}":"3"'`)
      await host.apply(machine('x', { fast: own }))
      await running('x')
    },
    { timeout: 600_000 },
  )
  after(() => rig?.[Symbol.asyncDispose]())

  test('starts with one, as its pod says', async () => {
    const { spec, metadata } = JSON.parse(await host.kubectl('get pod -o json')).items[0]
    const { requests, limits } = spec.containers[0].resources
    assert.deepEqual([requests[resource], limits[resource]], ['1', '1'])
    assert.ok(Number.parseInt(requests.memory, 10) > (1024 + 160) * 1024, requests.memory)
    const [, network] = JSON.parse(metadata.annotations['k8s.v1.cni.cncf.io/network-status'])
    assert.equal(network['device-info'].pci['pci-address'], first)
    const [info] = JSON.parse(metadata.annotations['kubevirt.io/network-info']).interfaces
    assert.deepEqual([info.network, info.mac, info.deviceInfo.pci['pci-address']], ['fast', mac, first])
    const xml = await host.virsh('x', 'dumpxml DOMAIN')
    assert.match(xml, /<hostdev mode='subsystem' type='pci' managed='no'>/)
    assert.match(
      xml,
      /<address domain='0x0000' bus='0x01' slot='0x10' function='0x0'\/>\s*<\/source>\s*<alias name='ua-sriov-fast'\/>/,
    )
    // Of its links in the sandbox there are those of its other interface alone.
    const links = await rig.run(`nsenter --net=/proc/$(cat ${await host.sandboxOf('x')}/init.pid)/ns/net ip -br link`)
    assert.deepEqual(
      links.split('\n').map((line) => line.split(/[\s@]/)[0]),
      ['lo', 'eth0', 'k6t-eth0', 'tap0'],
    )
  })

  test('has it as its own card, with the MAC address and the VLAN of its network', async () => {
    await whole('x', 'fast')
    const { linkState, queueCount, interfaceName, ...card } = await cardOf('x', 'fast')
    assert.deepEqual(
      [linkState, queueCount, card.mac, card.infoSource],
      [undefined, undefined, mac, 'domain, guest-agent, multus-status'],
    )
    assert.match(await host.inGuest('x', `readlink /sys/class/net/${interfaceName}/device/driver`), /igbvf$/)
    assert.equal(await host.inGuest('x', `basename $(readlink /sys/class/net/${interfaceName}/device)`), guestAddress)
    const [vf] = await vfList()
    assert.deepEqual([vf.address, vf.vlan_list[0].vlan], [mac, 7])
    const other = host.inGuest('x', `ip link set ${interfaceName} address 02:00:00:00:00:99`)
    await assert.rejects(other, /ended with/)
    // All memory of the guest is locked, and what the device needs.
    const limits = await rig.run('cat "/proc/$(pgrep -f guest=default_x)/limits"')
    const [, locked] = /Max locked memory +(\d+)/.exec(limits) ?? []
    assert.ok(Number(locked) >= 2 ** 30 + 160 * 2 ** 20, limits)
  })

  test('keeps it while Patchbay is killed and comes back', async () => {
    const pid = await rig.run('pgrep -f guest=default_x')
    await host.kill()
    await host.up()
    await whole('x', 'fast')
    assert.equal(await rig.run('pgrep -f guest=default_x'), pid)
    assert.equal((await vfList())[0].address, mac)
  })

  test('runs with KVM, and so do pulling its cable, plugging, and moving to a network with a VLAN', async () => {
    assert.match(await host.virsh('x', 'dumpxml DOMAIN'), /<domain type='kvm'/)
    const vfs = { fast: own }
    await host.apply(
      nad('blue'),
      nad('vlan', { cniVersion: '0.4.0', name: 'vlan', type: 'bridge', bridge: 'br-vlan', vlan: 100 }),
    )
    await host.apply(machine('x', vfs, { blue: 'up' }))
    await whole('x', 'blue')
    const { interfaceName: device } = await cardOf('x', 'blue')
    const carrier = () => host.inGuest('x', `cat /sys/class/net/${device}/carrier`)
    assert.equal(await carrier(), '1')
    await host.apply(machine('x', vfs, { blue: 'down' }))
    await host.until(`k get vmi x -o jsonpath='{.status.interfaces[?(@.name=="blue")].linkState}' | grep down`)
    assert.equal(await carrier(), '0')
    const moved = machine('x', vfs, { blue: 'up' })
    const networks = moved.spec.template.spec.networks.map((one) =>
      one.name === 'blue' ? { name: 'blue', multus: { networkName: 'vlan' } } : one,
    )
    const template = { spec: { ...moved.spec.template.spec, networks } }
    await host.apply({ ...moved, spec: { ...moved.spec, template } })
    // This kernel filters by VLAN, which the one of a test machine may not.
    await rig.until(`bridge vlan show | grep -A1 '^veth' | grep '100 PVID'`)
    await host.until(`k get vmi x -o jsonpath='{.status.interfaces[?(@.name=="blue")].linkState}' | grep up`)
    assert.equal(await carrier(), '1')
    await host.apply(machine('x', vfs, { blue: 'up' }))
    await rig.until(`[ -z "$(bridge vlan show | grep '100 PVID')" ]`)
  })

  test('has it back where it was when its migration is cancelled', async () => {
    const slow = (bandwidthPerMigration: string | null) =>
      configure({ configuration: { migrations: { bandwidthPerMigration } } })
    await slow('1Mi')
    await host.apply({
      ...{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstanceMigration' },
      ...{ metadata: { name: 'cancelled', namespace: 'default' }, spec: { vmiName: 'x' } },
    })
    await host.until(
      `[ "$(k get vmi x -o jsonpath='{.status.interfaces[?(@.name=="fast")].infoSource}')" = multus-status ]`,
    )
    await host.kubectl('delete vmim cancelled --wait=false')
    await host.until('[ -z "$(k get vmim cancelled --ignore-not-found -o name)" ]')
    await whole('x', 'fast')
    await slow(null)
    assert.equal((await cardOf('x', 'fast')).mac, mac)
    assert.match(await host.virsh('x', 'dumpxml DOMAIN'), new RegExp(`slot='0x10' function='0x${first.at(-1)}'`))
  })

  test('keeps it when it does not let go of it, and its migration fails; it has it again when it does', async () => {
    const subresource = '/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/x'
    await host.kubectl(`replace --raw ${subresource}/pause -f - <<'END'\n{}\nEND`)
    await host.apply({
      ...{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstanceMigration' },
      ...{ metadata: { name: 'stuck', namespace: 'default' }, spec: { vmiName: 'x' } },
    })
    await host.until(`k get vmim stuck -o jsonpath='{.status.phase}' | grep Failed`)
    assert.match(await host.virsh('x', 'dumpxml DOMAIN'), new RegExp(`slot='0x10' function='0x${first.at(-1)}'`))
    await host.kubectl('delete vmim stuck')
    await host.kubectl(`replace --raw ${subresource}/unpause -f - <<'END'\n{}\nEND`)
    await whole('x', 'fast')
    assert.equal((await cardOf('x', 'fast')).mac, mac)
  })

  test('gets another one by a migration, and takes the first one along', async () => {
    const spec = JSON.stringify(machine('x', { fast: own, more: {} }, { blue: 'up' }))
    await host.kubectl(`apply -f - <<'END'\n${spec}\nEND`)
    await host.until(
      `k get vmi x -o jsonpath='{.status.conditions[?(@.type=="MigrationRequired")].status}' | grep True`,
    )
    const [{ metadata }] = JSON.parse(await host.kubectl('get pod -o json')).items
    const requested = JSON.parse(metadata.annotations['k8s.v1.cni.cncf.io/networks'])
    assert.deepEqual(requested.map((one: { name: string }) => one.name).toSorted(), ['blue', 'fast'])
    assert.equal(await host.kubectl('get vmim -o name'), '')
    await configure({ workloadUpdateStrategy: { workloadUpdateMethods: ['LiveMigrate'] } })
    await host.until(`k get vmim -o jsonpath='{.items[*].status.phase}' | grep Succeeded`)
    await configure({ workloadUpdateStrategy: null })
    await whole('x', 'more')
    await whole('x', 'fast')
    assert.equal((await cardOf('x', 'fast')).mac, mac)
    // The next two: the first one is free again, without its MAC address.
    await rig.until(`ip -j link show eth0 | grep -q '"vf":0,"link_type":"ether","address":"00:00:00:00:00:00"'`)
    const [, fastVf, moreVf] = await vfList()
    assert.deepEqual([fastVf.address, fastVf.vlan_list[0].vlan], [mac, 7])
    assert.equal(moreVf.address, (await cardOf('x', 'more')).mac)
    assert.match(await host.kubectl(`get vmi x -o jsonpath='{.status.conditions}'`), /^((?!MigrationRequired).)*$/)
    assert.match(await host.virsh('x', 'dumpxml DOMAIN'), new RegExp(`slot='0x10' function='0x${second.at(-1)}'`))
  })

  test('reaches what is in the VLAN of its network, and nothing else', async () => {
    const [fastDevice, moreDevice] = [await cardOf('x', 'fast'), await cardOf('x', 'more')].map(
      (one) => one.interfaceName,
    )
    await rig.run(`modprobe 8021q; ip addr add 10.9.0.1/24 dev eth0; ip addr add 10.9.1.1/24 dev eth0`)
    await host.inGuest('x', `ip addr add 10.9.0.2/24 dev ${moreDevice}; ip addr add 10.9.1.2/24 dev ${fastDevice}`)
    const pings = (address: string) => host.inGuest('x', `ping -c 3 -W 2 ${address}`)
    await pings('10.9.0.1')
    await assert.rejects(pings('10.9.1.1'), /ended with 1/)
    await rig.run(`ip addr del 10.9.1.1/24 dev eth0; ip link add link eth0 name vlan7 type vlan id 7
      ip addr add 10.9.1.1/24 dev vlan7; ip link set vlan7 up`)
    await pings('10.9.1.1')
    await rig.run('ip link delete vlan7; ip addr flush dev eth0')
  })

  test('waits while there is none, and starts when one is free', async () => {
    await host.apply(machine('y', { more: {} }), machine('z', { more: {} }))
    await running('y')
    const why = `k get vmi z -o jsonpath='{.status.conditions[?(@.type=="PodScheduled")].message}'`
    await host.until(`${why} | grep 'Insufficient ${resource}'`)
    await host.kubectl('delete vm y')
    await running('z')
  })

  test('loses one that the host takes away, says so, and has it again when it is back', async () => {
    const synchronized = `k get vmi z -o jsonpath='{.status.conditions[?(@.type=="Synchronized")].message}'`
    const source = `k get vmi z -o jsonpath='{.status.interfaces[?(@.name=="more")].infoSource}'`
    await rig.run('echo 0 > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs')
    await host.until(`${synchronized} | grep 'is gone from the host'`)
    await host.until(`[ "$(${source})" = multus-status ]`)
    await host.until(`k get node -o jsonpath='{.items[0].status.capacity}' | grep -v '"${resource}":"3"'`)
    await rig.run(makeVfs)
    await host.until(`${source} | grep domain`)
    await host.until(`[ -z "$(${synchronized})" ]`)
  })

  test('gives everything back when it ends, however it ends', async () => {
    await rig.run('kill -9 "$(pgrep -f guest=default_z)"')
    await host.kubectl('delete vm x z')
    await rig.until('[ -z "$(ls /var/pb/pods)" ]')
    assert.deepEqual(await vfs(), untouched)
  })
})
