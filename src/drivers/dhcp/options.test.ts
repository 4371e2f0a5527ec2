import assert from 'node:assert/strict'
import { test } from 'node:test'
import { optionLines } from './options.ts'

const nothing = { mtu: 1500, dns: [], routes: [] }

test('what its owner asked for is told whether or not the guest asks, the rest if it does', () => {
  const lines = optionLines({
    mtu: 1400,
    dns: ['10.0.0.53', '10.0.0.54'],
    router: '10.0.2.1',
    routes: [],
    settings: {
      hostname: 'shop',
      domain: 'a.example',
      searches: ['a.example', 'b'],
      bootFileName: 'pxe.0',
      tftpServerName: 'tftp.example',
      ntpServers: ['10.1.1.1', '10.1.1.2'],
      privateOptions: [{ option: 240, value: 'site-7' }],
    },
  })
  assert.deepEqual(lines, [
    'dhcp-option=option:router,10.0.2.1',
    'dhcp-option=option:dns-server,10.0.0.53,10.0.0.54',
    'dhcp-option=option:mtu,1400',
    'dhcp-option=12,"shop"',
    'dhcp-option=15,"a.example"',
    'dhcp-option=119,a.example,b',
    'dhcp-option-force=42,10.1.1.1,10.1.1.2',
    'dhcp-option-force=66,"tftp.example"',
    'dhcp-option-force=67,"pxe.0"',
    'dhcp-option-force=240,73:69:74:65:2d:37',
  ])
})

test('nobody who has nothing to be told is told of anything but the MTU, and no router is named', () => {
  assert.deepEqual(optionLines(nothing), ['dhcp-option=option:router', 'dhcp-option=option:mtu,1500'])
})

test('routes are told by both options there are for them', () => {
  const routes = [{ dst: '10.99.0.0/16', gateway: '192.168.62.1' }]
  const lines = optionLines({ ...nothing, routes })
  for (const option of [121, 249]) assert.ok(lines.includes(`dhcp-option=${option},10.99.0.0/16,192.168.62.1`))
})

test('no text is more than one line, or ends its quotes', () => {
  const value = 'a\ndhcp-script=/bin/sh'
  const settings = {
    hostname: 'x',
    bootFileName: '\\"\\',
    privateOptions: [
      { option: 224, value },
      { option: 225, value: '7' },
    ],
  }
  const lines = optionLines({ ...nothing, settings })
  assert.ok(lines.includes('dhcp-option-force=67,"\\\\\\"\\\\"'))
  assert.ok(lines.includes('dhcp-option-force=225,55b'), 'a byte is told as a number')
  assert.deepEqual(
    lines.filter((line) => line.includes('\n') || line.startsWith('dhcp-script')),
    [],
  )
})
