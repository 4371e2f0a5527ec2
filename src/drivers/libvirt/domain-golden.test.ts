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
  return domainXml(spec, 'tcg', { disks: new Map(), firmware: undefined })
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
    ['1 2 of 8', 'd4c90c06b0fa'],
    ['1 5 6 of 8', 'cab56da49b50'],
    ['1 2 5 6 of 8', 'ad926dc4dd01'],
    ['1 2 3 5 6 of 8', '841c7dc40fd7'],
    ['1 2 3 4 5 6 of 9', '912955192896'],
    ['1 2 3 4 5 6 7 of 10', 'a60adab9e3e3'],
    ['1 2 3 4 5 6 7 8 of 11', 'a6c53b43ec1c'],
    ['1 2 3 4 5 6 7 8 9 of 12', '0a49efd77d13'],
    ['1 2 3 4 5 6 7 8 9 10 of 13', '794bfbfb5cb6'],
  ],
  complex: [
    ['1 2 of 2', '1215d2a91821'],
    ['1 2 3 of 3', 'd4ac914a6cd6'],
    ['1 2 3 4 of 4', '15bdf8455d4d'],
    ['1 2 3 4 5 of 5', '03463ceb149d'],
    ['1 2 3 4 5 6 of 6', '3a270bff2b24'],
    ['1 2 3 4 5 6 7 of 7', '53541b4dff5e'],
    ['1 2 3 4 5 6 7 8 of 8', '806baa6fb00a'],
    ['1 2 3 4 5 6 7 8 9 of 9', 'c37abd9b053f'],
    ['1 2 3 4 5 6 7 8 9 10 of 10', 'd5c936266232'],
  ],
  slots: [
    ['12 13 of 13', '9ebd60c85465'],
    ['1 12 13 of 13', '180d1dd3c36a'],
    ['1 2 12 13 of 13', '8ae8cc94d2ce'],
    ['1 2 3 12 13 of 13', 'cd6cabc7623d'],
    ['1 2 3 4 12 13 of 13', '06eec8c22887'],
    ['1 2 3 4 5 12 13 of 13', 'c6050ec3e2a8'],
    ['1 2 3 4 5 6 12 13 of 13', 'c78581ba669c'],
    ['1 2 3 4 5 6 7 12 13 of 13', '6de600453985'],
    ['1 2 3 4 5 6 7 8 12 13 of 13', '29cc57560d2a'],
  ],
  large: [
    ['1 2 of 16', '8ae7830a2aeb'],
    ['1 5 6 of 16', '3c5a0afa7596'],
    ['1 2 5 6 of 16', '6f8d3a66bb81'],
    ['1 2 3 5 6 of 16', '595929b6085a'],
    ['1 2 3 4 5 6 of 16', '7b6172e939b9'],
    ['1 2 3 4 5 6 7 of 16', 'f30dddafc00a'],
    ['1 2 3 4 5 6 7 8 of 16', '6a2c97d13d5b'],
    ['1 2 3 4 5 6 7 8 9 of 16', '1849c6c605ff'],
    ['1 2 3 4 5 6 7 8 9 10 of 16', 'c3395c655313'],
  ],
  queues: [
    ['1 2 of 8', 'd4c90c06b0fa'],
    ['1 5 6 of 8', '5c15d85a55c3'],
    ['1 2 5 6 of 8', '268a4deaf073'],
    ['1 2 3 5 6 of 8', '9c5ee522e36d'],
    ['1 2 3 4 5 6 of 9', '35459ad1e40b'],
    ['1 2 3 4 5 6 7 of 10', '62f36b218aaa'],
    ['1 2 3 4 5 6 7 8 of 11', '25dd0d37a12d'],
    ['1 2 3 4 5 6 7 8 9 of 12', 'df9c823a0555'],
    ['1 2 3 4 5 6 7 8 9 10 of 13', '35305a1a9dd9'],
  ],
  e1000: [
    ['1 2 of 8', 'd4c90c06b0fa'],
    ['1 5 6 of 8', 'cab56da49b50'],
    ['1 - 5 6 of 8', 'b1a7ca58155f'],
    ['1 - 3 5 6 of 8', '187ad3ef5ced'],
    ['1 - 3 4 5 6 of 9', '7f0fed8c5c78'],
    ['1 - 3 4 5 6 7 of 10', '98176c3044d8'],
    ['1 - 3 4 5 6 7 8 of 11', '62c1e9ca1378'],
    ['1 - 3 4 5 6 7 8 9 of 12', '005170d3e0dd'],
    ['1 - 3 4 5 6 7 8 9 10 of 13', '09af25104686'],
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
