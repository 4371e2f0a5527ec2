import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interface } from '#apis/kubevirt/interface.ts'
import { bindingOf, bindings, isDevice, runBindings } from './bindings.ts'
import { desiredNics, unsupportedInterface } from './desired.ts'

const all = Object.entries(bindings)

test('a binding that is run has a tap, whose link can be cut, and stays in its guest for a migration; or is a device of the host', () => {
  assert.deepEqual(runBindings, ['bridge', 'masquerade', 'sriov'])
  for (const name of runBindings) {
    const { attach, states, leavesToMigrate, discontinued } = bindings[name]
    const own = [attach, states.includes('up'), states.includes('down'), leavesToMigrate, discontinued]
    const wanted = isDevice(name) ? ['hostdev', false, false, true, undefined] : ['tap', true, true, false, undefined]
    assert.deepEqual(own, wanted, name)
  }
})

test('nothing is said of a binding that contradicts itself', () => {
  for (const [name, one] of all) {
    assert.ok(one.isRun || !(one.isPluggable || one.isRewirable), `${name} is not run, so its cards cannot move`)
    assert.ok(one.isPluggable || !one.isRewirable, `${name} moves by what plugging is made of`)
    const isOfHost = one.attach === 'hostdev'
    // A device of the host is plugged by a migration and never unplugged (KubeVirt).
    assert.equal(
      one.isPluggable && !isOfHost,
      one.states.includes('absent'),
      `${name} is unplugged by declaring it absent`,
    )
    // It has no link of ours, and does not go to another host with its guest.
    assert.equal(isOfHost, one.leavesToMigrate, name)
    assert.equal(isOfHost, !one.states.includes('down'), name)
  }
})

test('an interface has the binding it names, and is refused at start by its name where that is not run', () => {
  for (const [name, { isRun, isPluggable }] of all) {
    const one = { name: 'a', [name]: name === 'binding' ? { name: 'own' } : {} } as Interface
    const networks = [{ name: 'a', multus: { networkName: 'lan' } }]
    const spec = { domain: { devices: { interfaces: [one] } }, networks }
    assert.equal(bindingOf(one), name)
    assert.deepEqual(
      desiredNics(spec, 'ns').map((nic) => [nic.binding, nic.isPluggable]),
      [[name, isPluggable]],
    )
    const word = name === 'binding' ? 'plugin own' : name
    const refusal = `interface "a" uses the binding ${word}, which this version cannot run; use bridge or masquerade or sriov`
    assert.equal(unsupportedInterface(spec), isRun ? undefined : refusal)
  }
})
