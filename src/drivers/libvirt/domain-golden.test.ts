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
  fixed: { devices: { disableHotplug: true } },
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
    ['1 2 of 8', '5204923de890'],
    ['1 5 6 of 8', 'a33ef471e167'],
    ['1 2 5 6 of 8', '968c99a3e96b'],
    ['1 2 3 5 6 of 9', 'e78c5fb796a7'],
    ['1 2 3 4 5 6 of 10', '4e3ab1766efb'],
    ['1 2 3 4 5 6 7 of 11', '67048a444498'],
    ['1 2 3 4 5 6 7 8 of 12', '2f5ea74712ac'],
    ['1 2 3 4 5 6 7 8 9 of 13', '2719d59cf562'],
    ['1 2 3 4 5 6 7 8 9 10 of 14', '43107554cab1'],
  ],
  complex: [
    ['1 2 of 3', 'f8c713ee7f45'],
    ['1 2 3 of 4', '311aa6287bec'],
    ['1 2 3 4 of 5', 'e697c7ae032e'],
    ['1 2 3 4 5 of 6', '4e2abdf268c5'],
    ['1 2 3 4 5 6 of 7', '1c5e8c867790'],
    ['1 2 3 4 5 6 7 of 8', 'e2cd55b70481'],
    ['1 2 3 4 5 6 7 8 of 9', '3a728f3070fd'],
    ['1 2 3 4 5 6 7 8 9 of 10', 'cc58b5827ab3'],
    ['1 2 3 4 5 6 7 8 9 10 of 11', 'f2a08da16bfe'],
  ],
  slots: [
    ['12 13 of 14', 'c9e5032eff95'],
    ['1 12 13 of 14', '5d2da81bf9b2'],
    ['1 2 12 13 of 14', '14842ff91f24'],
    ['1 2 3 12 13 of 14', '679658284503'],
    ['1 2 3 4 12 13 of 14', '8864482a5296'],
    ['1 2 3 4 5 12 13 of 14', '2cc54f2ed500'],
    ['1 2 3 4 5 6 12 13 of 14', 'b7c29dd136ca'],
    ['1 2 3 4 5 6 7 12 13 of 14', '1f152145ab17'],
    ['1 2 3 4 5 6 7 8 12 13 of 14', '4ce434d66430'],
  ],
  large: [
    ['1 2 of 16', 'bb703fe67164'],
    ['1 5 6 of 16', 'b45857b39e52'],
    ['1 2 5 6 of 16', 'ef5935c6eff5'],
    ['1 2 3 5 6 of 16', 'd197410676fc'],
    ['1 2 3 4 5 6 of 16', 'ccddcba6c5e4'],
    ['1 2 3 4 5 6 7 of 16', 'cc4d50710536'],
    ['1 2 3 4 5 6 7 8 of 16', '323ff51c3ff5'],
    ['1 2 3 4 5 6 7 8 9 of 16', 'bbf8982ac0a6'],
    ['1 2 3 4 5 6 7 8 9 10 of 17', '39ee1c93bf4c'],
  ],
  queues: [
    ['1 2 of 8', '5204923de890'],
    ['1 5 6 of 8', '76a22f701c3b'],
    ['1 2 5 6 of 8', '69f0cf62622d'],
    ['1 2 3 5 6 of 9', 'b27a79d44e56'],
    ['1 2 3 4 5 6 of 10', '3aef5b56aede'],
    ['1 2 3 4 5 6 7 of 11', '2a3a760f09c8'],
    ['1 2 3 4 5 6 7 8 of 12', '1cb4b68e15ee'],
    ['1 2 3 4 5 6 7 8 9 of 13', '5d639895445c'],
    ['1 2 3 4 5 6 7 8 9 10 of 14', '8383da21a46a'],
  ],
  e1000: [
    ['1 2 of 8', '5204923de890'],
    ['1 5 6 of 8', 'a33ef471e167'],
    ['1 - 5 6 of 8', '11f56139666a'],
    ['1 - 3 5 6 of 9', 'ae009a9e7e1f'],
    ['1 - 3 4 5 6 of 10', 'acb77e94bdb1'],
    ['1 - 3 4 5 6 7 of 11', '89825c7b4b97'],
    ['1 - 3 4 5 6 7 8 of 12', '6e2ade9ce742'],
    ['1 - 3 4 5 6 7 8 9 of 13', 'f6d9ae905cd1'],
    ['1 - 3 4 5 6 7 8 9 10 of 14', '5f9004a82336'],
  ],
  // As before disks could be plugged.
  fixed: [
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
}

for (const [name, flavour] of Object.entries(flavours) as [keyof typeof flavours, Flavour][])
  test(`domains of guests are byte for byte what they were, with 0 to 8 interfaces: ${name}`, () => {
    const now = Array.from({ length: 9 }, (_, count) => xmlOf(count, flavour))
    assert.deepEqual(
      now.map((xml) => [busesOf(xml), sha256Hex(xml).slice(0, 12)]),
      golden[name],
    )
  })
