import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interface } from '#apis/kubevirt/interface.ts'
import { bindingOf, bindings, runBindings } from './bindings.ts'
import { desiredNics, unsupportedInterface } from './desired.ts'

const all = Object.entries(bindings)

test('a binding that is run has a tap, whose link can be cut, and stays in its guest for a migration', () => {
  assert.deepEqual(runBindings, ['bridge', 'masquerade'])
  for (const name of runBindings) {
    const { attach, states, leavesToMigrate, discontinued } = bindings[name]
    const own = [attach, states.includes('up'), states.includes('down'), leavesToMigrate, discontinued]
    assert.deepEqual(own, ['tap', true, true, false, undefined], name)
  }
})

test('nothing is said of a binding that contradicts itself', () => {
  for (const [name, one] of all) {
    assert.ok(one.isRun || !(one.isPluggable || one.isRewirable), `${name} is not run, so its cards cannot move`)
    assert.ok(one.isPluggable || !one.isRewirable, `${name} moves by what plugging is made of`)
    assert.equal(one.isPluggable, one.states.includes('absent'), `${name} is unplugged by declaring it absent`)
    // A device of the host has no link of ours, and does not go to another host with its guest.
    assert.equal(one.attach === 'hostdev', one.leavesToMigrate, name)
    assert.equal(one.attach === 'hostdev', !one.states.includes('down'), name)
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
    const refusal = `interface "a" uses the binding ${word}, which this version cannot run; use bridge or masquerade`
    assert.equal(unsupportedInterface(spec), isRun ? undefined : refusal)
  }
})
