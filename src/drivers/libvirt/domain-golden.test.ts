import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { sha256Hex } from '#base/sha256.ts'
import { domainSpec } from '#core/vm/domain.ts'
import { rootComplexAnnotation, slotCountAnnotation } from '#core/vm/pci.ts'
import { domainXml } from './domain-xml.ts'
import { childElements, findElement, parseXml } from './xml.ts'

/** What guests are started with here, beside the number of their interfaces. */
const flavours = {
  plain: {},
  complex: { annotations: { [rootComplexAnnotation]: 'true' } },
  slots: { annotations: { [slotCountAnnotation]: '11' } },
  large: { memory: '4Gi' },
  queues: { devices: { networkInterfaceMultiqueue: true } },
  e1000: { model: 'e1000' },
} as const
type Flavour = Readonly<{ annotations?: Record<string, string>; memory?: string; devices?: object; model?: string }>

function xmlOf(count: number, { annotations = {}, memory = '256Mi', devices = {}, model }: Flavour): string {
  const names = Array.from({ length: count }, (_, i) => `n${i}`)
  const vmi: VirtualMachineInstance = {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'x', namespace: 'ns', uid: '3e2ff6dc-6bbf-4d1a-8c54-2e6c1d0a6a4e', annotations },
    spec: {
      domain: {
        cpu: { cores: 2 },
        memory: { guest: memory },
        firmware: { kernelBoot: { container: { image: 'demo-guest' } } },
        devices: {
          ...devices,
          interfaces: names.map((name, i) => ({
            name,
            ...(i ? { bridge: {} } : { masquerade: {} }),
            ...(i === 2 && { state: 'down' }),
            // One card that is not virtio between others that are.
            ...(model && i === 1 && { model }),
            macAddress: `02:00:00:00:00:0${i}`,
          })),
        },
      },
      networks: names.map((name, i) => ({ name, ...(i ? { multus: { networkName: name } } : { pod: {} }) })),
    },
  }
  const spec = domainSpec(vmi)
  assert.ok(!('problem' in spec))
  return domainXml(spec, 'tcg')
}

/** Buses of what has an address, in the order of the devices, and the number of ports: `1 - 3 5 6 of 8`. */
function busesOf(xml: string): string {
  const all = (findElement(parseXml(xml), 'devices')?.children ?? []).filter((one) => typeof one !== 'string')
  const ports = childElements(findElement(parseXml(xml), 'devices'), 'controller').filter(
    ({ attributes }) => attributes.model === 'pcie-root-port',
  )
  const buses = all
    .filter(({ name, attributes }) => name === 'interface' || name === 'rng' || attributes.type === 'virtio-serial')
    .map((one) => findElement(one, 'address')?.attributes.bus)
  return `${buses.map((bus) => (bus === undefined ? '-' : Number(bus))).join(' ')} of ${ports.length}`
}

/** By flavour and number of interfaces: buses and ports, and the first digits of the SHA-256 of the whole. */
const golden: Readonly<Record<keyof typeof flavours, readonly (readonly [buses: string, digest: string])[]>> = {
  plain: [
    ['1 2 of 8', '7aa0225ad3f2'],
    ['1 5 6 of 8', '9e885a8bea5a'],
    ['1 2 5 6 of 8', '3a6c1f0a1038'],
    ['1 2 3 5 6 of 8', '75f5d4139101'],
    ['1 2 3 4 5 6 of 9', '5a35aeb942ef'],
    ['1 2 3 4 5 6 7 of 10', '579e6f05e830'],
    ['1 2 3 4 5 6 7 8 of 11', 'e85407b1f899'],
    ['1 2 3 4 5 6 7 8 9 of 12', '7fdf4d325138'],
    ['1 2 3 4 5 6 7 8 9 10 of 13', '5522317d35aa'],
  ],
  complex: [
    ['1 2 of 2', '500175e811cf'],
    ['1 2 3 of 3', '48113f55ccf2'],
    ['1 2 3 4 of 4', '061d522773bc'],
    ['1 2 3 4 5 of 5', '7f7acd001c17'],
    ['1 2 3 4 5 6 of 6', '3aaa2787c196'],
    ['1 2 3 4 5 6 7 of 7', '634512fd1571'],
    ['1 2 3 4 5 6 7 8 of 8', '91b02a858da6'],
    ['1 2 3 4 5 6 7 8 9 of 9', 'd2278c4f16c1'],
    ['1 2 3 4 5 6 7 8 9 10 of 10', '0892050a8617'],
  ],
  slots: [
    ['12 13 of 13', 'f1ed0d2b4f7e'],
    ['1 12 13 of 13', 'f30e3b943c5f'],
    ['1 2 12 13 of 13', '09d0ae83adba'],
    ['1 2 3 12 13 of 13', '41701f6ec8ff'],
    ['1 2 3 4 12 13 of 13', 'e87892365386'],
    ['1 2 3 4 5 12 13 of 13', 'd543cf47a0fd'],
    ['1 2 3 4 5 6 12 13 of 13', '1d5cff791ce8'],
    ['1 2 3 4 5 6 7 12 13 of 13', '79bb12a1d415'],
    ['1 2 3 4 5 6 7 8 12 13 of 13', '6654922bae36'],
  ],
  large: [
    ['1 2 of 16', '542a08a4381d'],
    ['1 5 6 of 16', 'c9769de117d1'],
    ['1 2 5 6 of 16', 'c8c7c03088d7'],
    ['1 2 3 5 6 of 16', 'c1dad70d8a5c'],
    ['1 2 3 4 5 6 of 16', '6197b0a66319'],
    ['1 2 3 4 5 6 7 of 16', '36db1ed79878'],
    ['1 2 3 4 5 6 7 8 of 16', '4641a9eb9492'],
    ['1 2 3 4 5 6 7 8 9 of 16', 'f64b6d2472f6'],
    ['1 2 3 4 5 6 7 8 9 10 of 16', '10cdb0adf469'],
  ],
  queues: [
    ['1 2 of 8', '7aa0225ad3f2'],
    ['1 5 6 of 8', '3cca60a7aa1f'],
    ['1 2 5 6 of 8', 'a051cc2cd935'],
    ['1 2 3 5 6 of 8', '880e6f244ff4'],
    ['1 2 3 4 5 6 of 9', '44bc21102e9b'],
    ['1 2 3 4 5 6 7 of 10', '7c33462b3ace'],
    ['1 2 3 4 5 6 7 8 of 11', '52792abdbfb6'],
    ['1 2 3 4 5 6 7 8 9 of 12', 'a3575804131a'],
    ['1 2 3 4 5 6 7 8 9 10 of 13', '9f1afc3bb92c'],
  ],
  e1000: [
    ['1 2 of 8', '7aa0225ad3f2'],
    ['1 5 6 of 8', '9e885a8bea5a'],
    ['1 - 5 6 of 8', 'aeff822f5767'],
    ['1 - 3 5 6 of 8', '1dc9f6506296'],
    ['1 - 3 4 5 6 of 9', '73ad63a45faf'],
    ['1 - 3 4 5 6 7 of 10', '7bf633c03204'],
    ['1 - 3 4 5 6 7 8 of 11', '09603f8250de'],
    ['1 - 3 4 5 6 7 8 9 of 12', '38db389ad013'],
    ['1 - 3 4 5 6 7 8 9 10 of 13', '063b7634265e'],
  ],
}

for (const [name, flavour] of Object.entries(flavours) as [keyof typeof flavours, Flavour][])
  test(`domains of guests are byte for byte what they were, with 0 to 8 interfaces: ${name}`, () => {
    const now = Array.from({ length: 9 }, (_, count) => xmlOf(count, flavour))
    assert.deepEqual(
      now.map((xml) => [busesOf(xml), sha256Hex(xml).slice(0, 12)]),
      golden[name],
    )
  })
