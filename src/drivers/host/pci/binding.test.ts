import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, test } from 'node:test'
import { PciBindings } from './binding.ts'

const vf = '0000:01:10.0'

/** A bus with one device, whose files do what the kernel's do. */
class Bus {
  readonly folder = mkdtempSync('/tmp/pb-bus-')
  readonly writes: string[] = []
  /** Ends the program at this write. */
  dies: number | undefined
  readonly #device = `${this.folder}/devices/${vf}`

  constructor(driver: string | undefined) {
    mkdirSync(this.#device, { recursive: true })
    this.#put('driver_override', '(null)')
    this.bind(driver)
  }

  get bindings(): PciBindings {
    return new PciBindings(this.folder, (path, text) => this.#write(path, text))
  }

  bind(driver: string | undefined): void {
    rmSync(`${this.#device}/driver`, { force: true })
    if (driver !== undefined) symlinkSync(`../../drivers/${driver}`, `${this.#device}/driver`)
  }

  #put(name: string, text: string): void {
    writeFileSync(`${this.#device}/${name}`, `${text}\n`)
  }

  #write(path: string, text: string): void {
    const name = path.replace(`${this.folder}/`, '').replace(`devices/${vf}/`, '')
    if (this.writes.length === this.dies) throw new Error('killed')
    this.writes.push(`${name} ${text.trim()}`.trim())
    if (name === 'driver_override') this.#put(name, text.trim() || '(null)')
    else if (name.endsWith('/unbind')) this.bind(undefined)
    else this.bind(this.#override())
  }

  /** Drivers do not take VFs by themselves here. */
  #override(): string | undefined {
    const override = readFileSync(`${this.#device}/driver_override`, 'utf8').trim()
    return override === '(null)' ? undefined : override
  }
}

let bus: Bus
beforeEach(() => {
  bus = new Bus('igbvf')
})
afterEach(() => rmSync(bus.folder, { recursive: true }))

test('a device goes from its driver to vfio-pci and back', async () => {
  const before = bus.bindings.read(vf)
  assert.deepEqual(before, { driver: 'igbvf' })
  await bus.bindings.pass(vf)
  assert.deepEqual(bus.bindings.read(vf), { driver: 'vfio-pci', override: 'vfio-pci' })
  await bus.bindings.restore(vf, before ?? {})
  assert.deepEqual(bus.bindings.read(vf), { driver: 'igbvf' })
  assert.deepEqual(bus.writes, [
    'driver_override vfio-pci',
    `drivers/igbvf/unbind ${vf}`,
    `drivers_probe ${vf}`,
    'driver_override igbvf',
    `drivers/vfio-pci/unbind ${vf}`,
    `drivers_probe ${vf}`,
    'driver_override',
  ])
})

test('one that was bound to nothing is bound to nothing afterwards, although its driver is there', async () => {
  bus.bind(undefined)
  await bus.bindings.pass(vf)
  await bus.bindings.restore(vf, {})
  assert.deepEqual(bus.bindings.read(vf), {})
})

test('one that its operator had bound to vfio-pci is left so, and nothing is written', async () => {
  await bus.bindings.pass(vf)
  bus.writes.length = 0
  const before = bus.bindings.read(vf) ?? {}
  await bus.bindings.pass(vf)
  await bus.bindings.restore(vf, before)
  assert.deepEqual(bus.writes, [])
})

for (const dies of [0, 1, 2])
  test(`cut short before write ${dies + 1}, both ways end in the same when they are done again`, async () => {
    for (const [work, wanted] of [
      [() => bus.bindings.pass(vf), { driver: 'vfio-pci', override: 'vfio-pci' }],
      [() => bus.bindings.restore(vf, { driver: 'igbvf' }), { driver: 'igbvf' }],
    ] as const) {
      bus.dies = bus.writes.length + dies
      await assert.rejects(work(), { kind: 'Unavailable' })
      bus.dies = undefined
      await work()
      assert.deepEqual(bus.bindings.read(vf), wanted)
    }
  })

test('a device that is gone is told of when a guest is to have it, and is nothing to put back', async () => {
  rmSync(`${bus.folder}/devices`, { recursive: true })
  await assert.rejects(bus.bindings.pass(vf), { kind: 'NotFound', message: `There is no PCI device ${vf}` })
  await bus.bindings.restore(vf, { driver: 'igbvf' })
})
