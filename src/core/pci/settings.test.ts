import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '#base/json.ts'
import { readSettings, restoreCommands, settingCommands, settingsIn } from './settings.ts'

/** What `ip -j link show dev PF` prints of an igb card. */
const output = (vf: object) => [
  {
    ifname: 'ens1f0',
    vfinfo_list: [
      {
        ...{
          vf: 0,
          link_type: 'ether',
          address: '00:00:00:00:00:00',
          spoofchk: true,
          trust: false,
          link_state: 'auto',
        },
        rate: { max_tx: 0, min_tx: 0 },
        vlan_list: [{}],
        ...vf,
      },
    ],
  },
]
const fresh = settingsIn(output({}), 0) ?? {}
const words = (config: JsonObject, now = fresh) =>
  settingCommands({ ...readSettings(config).settings, mac: '02:00:00:00:00:AA' }, now).map((one) => one.join(' '))

test('what is configured is set in sriov-cni’s order, and the MAC in small letters', () => {
  const config = {
    vlan: 7,
    vlanQoS: 3,
    spoofchk: 'off',
    trust: 'on',
    link_state: 'enable',
    min_tx_rate: 1,
    max_tx_rate: 9,
  }
  assert.deepEqual(words(config), [
    'vlan 7 qos 3',
    'mac 02:00:00:00:00:aa',
    'max_tx_rate 9 min_tx_rate 1',
    'spoofchk off',
    'trust on',
    'state enable',
  ])
})

test('what is not configured is left as it is, and what is so already is not set', () => {
  const old = settingsIn(output({ address: '02:00:00:00:00:aa', vlan_list: [{ vlan: 9, qos: 0 }] }), 0)
  assert.deepEqual(words({}, old), [])
  assert.deepEqual(words({ vlan: 0 }, old), ['vlan 0 qos 0'])
  assert.deepEqual(words({ vlan: 9, spoofchk: 'on' }, old), [])
})

test('802.1ad is said, 802.1q is not', () => {
  assert.deepEqual(words({ vlan: 7, vlanProto: '802.1AD' })[0], 'vlan 7 qos 0 proto 802.1ad')
  assert.deepEqual(words({ vlan: 7, vlanProto: '802.1q' })[0], 'vlan 7 qos 0')
})

test('only what was configured is put back, and what is as it was is not touched', () => {
  const before = settingsIn(output({ address: '02:00:00:00:00:01', vlan_list: [{ vlan: 5, qos: 1 }] }), 0) ?? {}
  const wanted = { ...readSettings({ vlan: 7, trust: 'off', spoofchk: 'off' }).settings, mac: '02:00:00:00:00:aa' }
  const now = settingsIn(output({ address: '02:00:00:00:00:aa', vlan_list: [{ vlan: 7 }], spoofchk: false }), 0) ?? {}
  assert.deepEqual(
    restoreCommands(wanted, before, now).map((one) => one.join(' ')),
    ['vlan 5 qos 1', 'spoofchk on', 'mac 02:00:00:00:00:01'],
  )
  assert.deepEqual(restoreCommands(wanted, before, before), [])
})

test('what a driver does not tell is not put back', () => {
  assert.deepEqual(restoreCommands({ trust: true }, settingsIn(output({ trust: undefined }), 0) ?? {}, fresh), [])
})

test('a card that does not list the VF has no settings of it', () => {
  for (const text of [undefined, [], [{}], output({ vf: 3 })]) assert.equal(settingsIn(text, 0), undefined)
})

test('every setting out of its range is said', () => {
  const config = {
    ...{ vlan: 4095, vlanQoS: 8, vlanProto: 'x', spoofchk: true, trust: 'yes', link_state: 'up' },
    ...{ min_tx_rate: -1, max_tx_rate: 'fast' },
  }
  assert.deepEqual(readSettings(config), {
    settings: {},
    errors: [
      'vlan: 4095 is not a number from 0 to 4094',
      'vlanQoS: 8 is not a number from 0 to 7',
      'vlanProto: "x" is not 802.1q or 802.1ad',
      'min_tx_rate: -1 is not a number of Mbit/s',
      'max_tx_rate: "fast" is not a number of Mbit/s',
      'spoofchk: true is not on or off',
      'trust: "yes" is not on or off',
      'link_state: "up" is not auto, enable or disable',
    ],
  })
  for (const [wrong, error] of [
    [{ vlan: 0, vlanQoS: 1 }, 'vlanQoS: needs a vlan that is not 0'],
    [{ vlanProto: '802.1ad' }, 'vlanProto: 802.1ad needs a vlan that is not 0'],
    [{ min_tx_rate: 5, max_tx_rate: 4 }, 'min_tx_rate: 5 is more than max_tx_rate, which is 4'],
  ] as const)
    assert.deepEqual(readSettings(wrong).errors, [error])
})
