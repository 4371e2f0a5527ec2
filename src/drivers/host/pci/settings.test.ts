import assert from 'node:assert/strict'
import { test } from 'node:test'
import { virtualFunction } from '#kit/core/pci/functions.ts'
import { VfSettingsDriver } from './settings.ts'

const { signal } = new AbortController()
const before = {
  vlan: { id: 0, qos: 0, proto: '802.1q' },
  mac: '00:00:00:00:00:00',
  spoofchk: true,
  trust: false,
} as const
const wanted = { vlan: { id: 7, qos: 0, proto: '802.1q' }, mac: '02:00:00:00:00:aa', trust: true } as const

/** A card that does what `ip` is told to, and writes it down; it refuses what begins like `refused`. */
function card(refused?: string) {
  const said: string[] = []
  const vf: Record<string, unknown> = {
    ...{ vf: 2, address: before.mac, spoofchk: true, trust: false, vlan_list: [{ vlan: 0, qos: 0 }] },
  }
  const driver = new VfSettingsDriver(async (_, args) => {
    if (args[0] === '-j') return JSON.stringify([{ vfinfo_list: [vf] }])
    const [, , , link, , index, name = '', value = ''] = args
    assert.deepEqual([link, index], ['ens1f0', '2'])
    const words = args.slice(6).join(' ')
    said.push(words)
    if (refused !== undefined && words.startsWith(refused))
      throw new Error('RTNETLINK answers: Operation not supported')
    if (name === 'vlan') vf.vlan_list = [{ vlan: Number(value), qos: 0 }]
    else if (name === 'mac') vf.address = value
    else vf[name] = value === 'on'
    return ''
  })
  return { driver, said }
}

test('settings are made once, and put back', async () => {
  const { driver, said } = card()
  const vf = virtualFunction(2)
  await driver.apply(vf, wanted, before, signal)
  await driver.apply(vf, wanted, before, signal)
  assert.deepEqual(said.splice(0), ['vlan 7 qos 0', 'mac 02:00:00:00:00:aa', 'trust on'])
  await driver.restore(vf, wanted, before, signal)
  await driver.restore(vf, wanted, before, signal)
  assert.deepEqual(said, ['vlan 0 qos 0', 'mac 00:00:00:00:00:00', 'trust off'])
})

test('one that the card refuses is told, and those before it are taken back', async () => {
  const { driver, said } = card('trust on')
  await assert.rejects(driver.apply(virtualFunction(2), wanted, before, signal), {
    kind: 'Unavailable',
    message: 'Cannot set trust on of 0000:01:10.4: RTNETLINK answers: Operation not supported',
  })
  assert.deepEqual(said, ['vlan 7 qos 0', 'mac 02:00:00:00:00:aa', 'trust on', 'vlan 0 qos 0', 'mac 00:00:00:00:00:00'])
})

test('a card without a link, and one that does not list the VF, say so', async () => {
  const { driver } = card()
  await assert.rejects(driver.read(virtualFunction(1), signal), {
    message: 'The card ens1f0 does not list its function 1',
  })
  const bare = virtualFunction(2, { parent: { address: '0000:01:00.0' } })
  await assert.rejects(driver.read(bare, signal), {
    message: 'The card 0000:01:00.0 of 0000:01:10.4 has no link on the host: load its driver',
  })
})
