import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silent } from '#base/log.ts'
import type { VirtualFunction } from '#core/pci/functions.ts'
import type { VfSettings } from '#core/pci/settings.ts'
import type { TakenFunction } from '#core/pci/taken.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { virtualFunction } from '#kit/core/pci/functions.ts'
import type { PciBindings } from './binding.ts'
import { SandboxDevices } from './sandbox-devices.ts'
import type { VfSettingsDriver } from './settings.ts'

const { signal } = new AbortController()
const zeros = '00:00:00:00:00:00'
const place = (uid = 'a') => ({ uid, user: 1000, init: 1 })
const none: ReadonlySet<string> = new Set()

/** An attachment to a network of VLAN 7 whose pool has the first two VFs. */
const fast = (name = 'fast', config: object = { type: 'sriov', vlan: 7 }) =>
  ({
    ...{ name, mac: '02:00:00:00:00:11', binding: 'sriov', config: JSON.stringify(config) },
    pool: { resource: 'intel.com/net', addresses: ['0000:01:10.0', '0000:01:10.2'] },
  }) as unknown as Attachment

/** A host with three VFs, of which the second one belongs to a driver, and what is on its disk. */
class World {
  records: Record<string, readonly TakenFunction[]> = { a: [], b: [] }
  readonly drivers = new Map<string, string | undefined>([['0000:01:10.2', 'igbvf']])
  readonly settings = new Map<string, VfSettings>()
  readonly nodes = new Set<string>()
  functions: readonly VirtualFunction[] = [0, 1, 2].map((index) => virtualFunction(index))
  /** Effects that are left until the program ends; it ends before the next one. */
  left = Number.POSITIVE_INFINITY
  effects = 0

  /** The program, started anew. */
  start(): SandboxDevices {
    return new SandboxDevices({
      log: silent,
      functions: () => this.functions,
      records: {
        devicesOf: async (uid) => this.records[uid] ?? [],
        writeDevices: async (uid, devices) => this.#do(() => (this.records = { ...this.records, [uid]: devices })),
        allDevices: async () => Object.values(this.records).flat(),
      },
      bindings: this.#bindings(),
      settings: this.#settings(),
      nodes: {
        make: async ({ uid }, group) => this.#do(() => this.nodes.add(`${uid} ${group}`)),
        keep: async ({ uid }, groups) => {
          for (const node of this.nodes)
            if (node.startsWith(`${uid} `) && !groups.includes(Number(node.split(' ')[1])))
              this.#do(() => this.nodes.delete(node))
        },
      },
    })
  }

  #bindings(): PciBindings {
    const bind = (address: string, driver: string | undefined) => {
      if (this.drivers.get(address) !== driver) this.#do(() => this.drivers.set(address, driver))
    }
    return {
      read: (address: string) => {
        const driver = this.drivers.get(address)
        return driver === undefined ? {} : { driver }
      },
      pass: async (address: string) => bind(address, 'vfio-pci'),
      restore: async (address: string, { driver }: { driver?: string }) => bind(address, driver),
    } as unknown as PciBindings
  }

  #settings(): VfSettingsDriver {
    const read = async ({ address }: VirtualFunction): Promise<VfSettings> =>
      this.settings.get(address) ?? { mac: zeros, vlan: { id: 0, qos: 0, proto: '802.1q' } }
    const set = async (vf: VirtualFunction, wanted: VfSettings) => {
      for (const [name, value] of Object.entries(wanted)) {
        const now = await read(vf)
        if (JSON.stringify(now[name as keyof VfSettings]) !== JSON.stringify(value))
          this.#do(() => this.settings.set(vf.address, { ...now, [name]: value }))
      }
    }
    return {
      read,
      apply: set,
      restore: (vf: VirtualFunction, _: VfSettings, before: VfSettings) => set(vf, before),
    } as unknown as VfSettingsDriver
  }

  #do(effect: () => unknown): void {
    if (this.left-- <= 0) throw new Error('killed')
    this.effects++
    effect()
  }

  /** What anybody can see of the host. */
  get state() {
    const seen = (map: ReadonlyMap<string, unknown>) => [...map].filter(([, value]) => value !== undefined)
    const isSet = ([, one]: [string, VfSettings]) => one.mac !== zeros || one.vlan?.id !== 0
    return structuredClone({
      records: this.records,
      drivers: seen(this.drivers),
      settings: [...this.settings].filter(isSet),
      nodes: [...this.nodes],
    })
  }
}

/** A guest that starts with a VF, and one that ends with it. */
const begin = async (devices: SandboxDevices, uid = 'a') => {
  await devices.take(place(uid), [fast()], none, signal)
  return devices.ready(place(uid), 'fast', signal)
}
const end = (devices: SandboxDevices, uid = 'a') => devices.release(place(uid), undefined, signal)

test('a VF is recorded as it was, bound, let into its sandbox and set, in this order', async () => {
  const world = new World()
  assert.equal(await begin(world.start()), '0000:01:10.0')
  const before = { settings: { mac: zeros, vlan: { id: 0, qos: 0, proto: '802.1q' } } }
  const settings = { mac: '02:00:00:00:00:11', vlan: { id: 7, qos: 0, proto: '802.1q' } }
  const own = { name: 'fast', resource: 'intel.com/net', address: '0000:01:10.0' }
  assert.deepEqual(world.state, {
    records: { a: [{ ...own, settings: { vlan: settings.vlan, mac: settings.mac }, before }], b: [] },
    drivers: [
      ['0000:01:10.2', 'igbvf'],
      ['0000:01:10.0', 'vfio-pci'],
    ],
    settings: [['0000:01:10.0', settings]],
    nodes: ['a 10'],
  })
})

test('killed before any effect of taking or giving back, it ends in the same state', async () => {
  const [whole, untouched] = [new World(), new World().state]
  await begin(whole.start())
  const [taken, takes] = [whole.state, whole.effects]
  await end(whole.start())
  assert.deepEqual(whole.state, untouched)
  const all = whole.effects
  assert.ok(takes >= 5 && all - takes >= 4, `${takes} and ${all - takes} effects`)
  for (let at = 0; at < all; at++) {
    const world = new World()
    world.left = at
    const isTaking = at < takes
    await assert.rejects(async () => {
      await begin(world.start())
      await end(world.start())
    }, /killed/)
    world.left = Number.POSITIVE_INFINITY
    if (isTaking) {
      await begin(world.start())
      assert.deepEqual(world.state, taken, `killed at ${at}`)
    }
    await end(world.start())
    assert.deepEqual(world.state, untouched, `killed at ${at}`)
  }
})

test('of many who want the last VF one gets it, and the others when it is free', async () => {
  const world = new World()
  const devices = world.start()
  world.records = { ...world.records, c: [] }
  const ended = await Promise.allSettled(['a', 'b', 'c'].map((uid) => begin(devices, uid)))
  const got = ended.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  assert.deepEqual(got, ['0000:01:10.0', '0000:01:10.2'])
  const [refusal] = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  assert.equal(refusal?.message, 'This node has no free intel.com/net for interface "fast"')
  assert.equal(refusal?.kind, 'Unavailable')
  await end(devices, 'a')
  assert.equal(await begin(devices, 'c'), '0000:01:10.0')
  // The other one goes back to the driver that it was taken from.
  await end(devices, 'b')
  assert.equal(world.drivers.get('0000:01:10.2'), 'igbvf')
})

test('what the guest does not have for now has not its MAC address, and gets it again', async () => {
  const world = new World()
  const devices = world.start()
  await begin(devices)
  const taken = world.state
  await devices.idle('a', 'fast', signal)
  assert.deepEqual(world.state, { ...taken, settings: [] })
  await devices.ready(place(), 'fast', signal)
  assert.deepEqual(world.state, taken)
})

test('one that the host took away is told, and given back without it', async () => {
  const world = new World()
  const devices = world.start()
  await begin(devices)
  world.functions = []
  // A guest that runs goes on.
  assert.deepEqual([...(await devices.take(place(), [fast()], new Set(['fast']), signal)).devices.keys()], ['fast'])
  await assert.rejects(devices.ready(place(), 'fast', signal), {
    kind: 'Unavailable',
    message: 'The device 0000:01:10.0 of interface "fast" is gone from the host',
  })
  await end(devices)
  assert.deepEqual(world.records.a, [])
})

for (const [what, config, message] of [
  [
    'no network of type sriov',
    { type: 'bridge' },
    'The network of interface "fast": type: an interface with the binding sriov needs a network of type sriov',
  ],
  [
    'errors in the configuration',
    { type: 'sriov', vlan: 5000, trust: 'yes' },
    'The network of interface "fast": vlan: 5000 is not a number from 0 to 4094; trust: "yes" is not on or off',
  ],
] as const)
  test(`nothing is taken with ${what}`, async () => {
    const world = new World()
    const { failed } = await world.start().take(place(), [fast('fast', config)], new Set(['fast']), signal)
    assert.equal((failed.get('fast') as Error).message, message)
    assert.equal(world.effects, 0)
  })

test('an interface whose network or pool is missing says which', async () => {
  const world = new World()
  const { pool: _, ...bare } = fast()
  await assert.rejects(world.start().take(place(), [{ ...bare, problem: 'no pool' } as Attachment], none, signal), {
    kind: 'Invalid',
    message: 'no pool',
  })
})
