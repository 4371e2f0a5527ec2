import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { bench, conflist, fail, result, signal, succeed, where } from '#kit/drivers/cni/sh-plugins.ts'

const other = { ...where, containerId: 'pod-2' }
const third = { ...where, containerId: 'pod-3' }
/** Makes links as Debian's plugin does: without addresses when no IPAM is named. */
const bridge = `[ $CNI_COMMAND = ADD ] || exit 0
if grep -q '"ipam"' DIR/bridge.ADD; then echo '${result}'; else echo '{"cniVersion":"0.4.0"}'; fi
exit 0
`
const quiet = { 'host-local': 'exit 0\n', static: 'exit 0\n' }
const given = { type: 'static', addresses: [{ address: '10.1.0.2/24', gateway: '10.1.0.1' }], routes: [] }

async function open(script = bridge) {
  const at = await bench({ bridge: script, ...quiet })
  const told: string[] = []
  return { ...at, cni: at.open(), told, tell: (notUndone: readonly string[]) => void told.push(...notUndone) }
}
const request = { ...where, conflist: conflist('bridge') }

describe('an interface that is added again', () => {
  it('has the addresses it had, and IPAM is not asked', async () => {
    await using at = await open()
    await at.cni.add(request, signal)
    const again = await at.cni.addAgain(request, at.tell, signal)
    assert.equal(again.ips[0]?.address, '10.1.0.2/24')
    for (const command of ['DEL', 'ADD']) assert.deepEqual((await at.input('bridge', command)).ipam, given, command)
    assert.deepEqual(at.told, [])
    // It is its own again, and given back when it goes.
    await at.cni.del(where, signal)
    assert.equal((await at.input('bridge', 'DEL')).ipam.type, 'host-local')
    assert.deepEqual(await readdir(at.cache), [])
  })

  it('stays as it was when that fails, and is tried in the same way', async () => {
    await using at = await open()
    await at.cni.add(request, signal)
    await at.write('bridge', fail)
    await assert.rejects(at.cni.addAgain(request, at.tell, signal), { message: /no bridge/ })
    assert.equal((await at.cni.added(where))?.result.ips[0]?.address, '10.1.0.2/24')
    await at.write('bridge', bridge)
    assert.equal((await at.cni.addAgain(request, at.tell, signal)).ips[0]?.address, '10.1.0.2/24')
    assert.deepEqual((await at.input('bridge', 'ADD')).ipam, given)
  })

  it('is a new one by another configuration, and where the plugin "static" is missing', async () => {
    await using at = await open()
    await at.cni.add(request, signal)
    await at.cni.addAgain({ ...request, conflist: { ...conflist('bridge'), name: 'red' } }, at.tell, signal)
    assert.equal((await at.input('bridge', 'ADD')).ipam.type, 'host-local')
    assert.equal((await at.input('bridge', 'DEL')).ipam.type, 'host-local')
    await using bare = await bench({ bridge, 'host-local': 'exit 0\n' })
    const cni = bare.open()
    await cni.add(request, signal)
    await cni.addAgain(request, at.tell, signal)
    assert.equal((await bare.input('bridge', 'ADD')).ipam.type, 'host-local')
  })
})

describe('an interface that goes on with the addresses of another', () => {
  /** The commands that IPAM was given itself, with the containers they were about. */
  const released = async (at: Awaited<ReturnType<typeof open>>) =>
    (await at.calls()).filter((line) => line.startsWith('host-local '))

  it('has a link without any, and IPAM hears that they are free when the last one is deleted', async () => {
    await using at = await open()
    await at.cni.add(request, signal)
    const heir = await at.cni.inherit({ ...request, ...other }, where, signal)
    assert.equal(heir.ips[0]?.address, '10.1.0.2/24')
    assert.equal((await at.input('bridge', 'ADD')).ipam, undefined)
    // Whoever inherits from an heir has it from the first one.
    await at.cni.inherit({ ...request, ...third }, other, signal)
    assert.equal((await at.cni.added(third))?.result.ips[0]?.address, '10.1.0.2/24')
    await at.cni.del(where, signal)
    assert.equal((await at.input('bridge', 'DEL')).ipam, undefined)
    await at.cni.del(other, signal)
    assert.deepEqual(await released(at), [])
    await at.cni.del(third, signal)
    assert.deepEqual(await released(at), ['host-local DEL net1'])
    const { ipam } = await at.input('host-local', 'DEL')
    assert.equal(ipam.type, 'host-local')
    assert.deepEqual(await readdir(at.cache), [])
  })

  it('leaves them to the first one when it goes first', async () => {
    await using at = await open()
    await at.cni.add(request, signal)
    await at.cni.inherit({ ...request, ...other }, where, signal)
    assert.deepEqual(await at.cni.letGo(other, signal), [])
    assert.deepEqual(await released(at), [])
    await at.cni.del(where, signal)
    assert.equal((await at.input('bridge', 'DEL')).ipam.type, 'host-local')
    assert.deepEqual(await readdir(at.cache), [])
  })

  it('leaves them to the first one when its ADD fails', async () => {
    await using at = await open()
    await at.cni.add(request, signal)
    await at.write('bridge', fail)
    await assert.rejects(at.cni.inherit({ ...request, ...other }, where, signal), { message: /no bridge/ })
    await at.write('bridge', bridge)
    await at.cni.del(where, signal)
    assert.equal((await at.input('bridge', 'DEL')).ipam.type, 'host-local')
    assert.deepEqual(await readdir(at.cache), [])
  })

  it('goes on with them when its link is lost, too', async () => {
    await using at = await open()
    await at.cni.add(request, signal)
    await at.cni.inherit({ ...request, ...other }, where, signal)
    await at.cni.del(where, signal)
    const again = await at.cni.addAgain({ ...request, ...other }, at.tell, signal)
    assert.equal(again.ips[0]?.address, '10.1.0.2/24')
    assert.equal((await at.input('bridge', 'ADD')).ipam, undefined)
    await at.cni.del(other, signal)
    assert.deepEqual(await released(at), ['host-local DEL net1'])
  })

  it('gets its own by another configuration, or one that does more with addresses', async () => {
    for (const change of [
      { name: 'red' },
      { plugins: [{ type: 'bridge', ipMasq: true, ipam: { type: 'host-local' } }] },
      { plugins: [{ type: 'bridge', ipam: { type: 'host-local' } }, { type: 'sbr' }] },
    ]) {
      await using at = await open()
      await at.write('sbr', succeed)
      const list = { ...conflist('bridge'), ...change }
      await at.cni.add({ ...request, conflist: 'plugins' in change ? list : request.conflist }, signal)
      await at.cni.inherit({ ...request, ...other, conflist: list }, where, signal)
      assert.equal((await at.input('bridge', 'ADD')).ipam.type, 'host-local', JSON.stringify(change))
    }
  })

  it('gets its own where the other one has none any more', async () => {
    await using at = await open(succeed)
    await at.cni.inherit({ ...request, ...other }, where, signal)
    assert.equal((await at.input('bridge', 'ADD')).ipam.type, 'host-local')
  })
})
