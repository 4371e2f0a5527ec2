import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { assignSlots, type Device, type Slots } from './devices.ts'
import { maxBus } from './pci.ts'

type Wish = Partial<Pick<Device, 'port' | 'pciAddress' | 'acpiIndex' | 'bootOrder'>>

const device = (kind: 'interface' | 'rng', alias: string, wish: Wish = {}): Device => ({
  kind,
  alias,
  port: 'needed',
  ...wish,
})
const nics = (count: number, wish: (i: number) => Wish = () => ({})): Device[] =>
  Array.from({ length: count }, (_, i) => device('interface', `n${i}`, wish(i)))
const others = [device('rng', 'bus'), device('rng', 'console', { port: 'none' }), device('rng', 'rng')]

function slotsOf(devices: readonly Device[], options = { hotplugPorts: 0, extra: 0 }): Slots {
  const slots = assignSlots(devices, options)
  assert.ok(!('problem' in slots), JSON.stringify(slots))
  return slots
}
const problemOf = (...wishes: Wish[]) => {
  const slots = assignSlots([...nics(wishes.length, (i) => wishes[i]!), ...others], { hotplugPorts: 0, extra: 0 })
  return 'problem' in slots ? slots.problem : ''
}
const addressOf = (bus: number) => `0000:${bus.toString(16).padStart(2, '0')}:00.0`

const worlds = fc.record({
  wishes: fc.array(
    fc.record({
      port: fc.constantFrom('needed' as const, 'kept' as const, 'none' as const),
      bus: fc.option(fc.integer({ min: 1, max: maxBus }), { nil: undefined, freq: 4 }),
    }),
    { maxLength: 40 },
  ),
  hotplugPorts: fc.oneof(fc.nat(12), fc.constant(1_000_000_000)),
  extra: fc.nat(40),
})

test('addresses never clash and never exceed the ports, whatever is wanted', () => {
  fc.assert(
    fc.property(worlds, ({ wishes, hotplugPorts, extra }) => {
      const taken = new Set<number>()
      const cards = nics(wishes.length, (i) => {
        const { port, bus } = wishes[i]!
        if (bus === undefined || taken.has(bus)) return { port }
        taken.add(bus)
        return { port, pciAddress: addressOf(bus) }
      })
      const devices = [...cards, ...others]
      const { ports, buses } = slotsOf(devices, { hotplugPorts, extra })
      const all = [...buses.values()]
      assert.equal(new Set(all).size, all.length)
      for (const bus of all) assert.ok(bus >= 1 && bus <= ports, `${bus} of ${ports}`)
      for (const { alias, port, pciAddress } of devices) {
        if (pciAddress !== undefined) assert.equal(addressOf(buses.get(alias)!), pciAddress)
        else assert.equal(buses.has(alias), port === 'needed')
      }
      const needed = devices.filter(({ port, pciAddress }) => port !== 'none' || pciAddress !== undefined).length
      assert.ok(ports >= Math.min(needed, maxBus))
      assert.ok(needed > maxBus || ports <= maxBus, `${ports} ports for ${needed} devices`)
    }),
    { numRuns: 2000 },
  )
})

test('a card that is plugged gets the address it will have after the next start, and moves no other', () => {
  // libvirt gives it the first port that is free.
  for (let count = 1; count < 4; count++) {
    const before = slotsOf([...nics(count), ...others], { hotplugPorts: 4 - count, extra: 2 })
    const taken = new Set(before.buses.values())
    const free = Array.from({ length: before.ports }, (_, i) => i + 1).find((bus) => !taken.has(bus))
    const after = slotsOf([...nics(count + 1), ...others], { hotplugPorts: 3 - count, extra: 2 })
    assert.equal(after.buses.get(`n${count}`), free)
    for (const [alias, bus] of before.buses) assert.equal(after.buses.get(alias), bus, alias)
  }
})

test('whoever wants an address has it, and the others go on around it', () => {
  const cards = nics(3, (i) => (i === 2 ? { pciAddress: '0000:02:00.0' } : {}))
  const { ports, buses } = slotsOf([...cards, ...others], { hotplugPorts: 1, extra: 1 })
  assert.deepEqual(Object.fromEntries(buses), { n0: 1, n1: 3, n2: 2, bus: 5, rng: 6 })
  assert.equal(ports, 7)
})

test('what two devices cannot both have, and no port has, is said in a sentence', () => {
  for (const wish of [{ pciAddress: '0000:02:00.0' }, { acpiIndex: 3 }, { bootOrder: 1 }] as const)
    assert.match(problemOf(wish, wish), new RegExp(`^two devices are to have .*${Object.values(wish)[0]}$`))
  assert.equal(problemOf({ acpiIndex: 3, bootOrder: 1 }, { acpiIndex: 4, bootOrder: 2 }), '')
  for (const pciAddress of ['0000:00:00.0', '0000:20:00.0', '0001:02:00.0', '0000:02:01.0', '0000:02:00.1', '2'])
    assert.match(problemOf({ pciAddress }), /n0 cannot have the PCI address .*choose one from 0000:01:00.0/, pciAddress)
})
