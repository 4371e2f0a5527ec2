import { noNetwork } from '#core/nic/nic.ts'

/** What the form asks for. */
export type Draft = Readonly<{
  name: string
  namespace: string
  source: 'containerDisk' | 'kernelBoot' | 'claim'
  image: string
  memory: string
  cpus: number
  sshKey: string
  isStarted: boolean
  cards: readonly DraftCard[]
}>

export type DraftCard = Readonly<{ name: string; network: string; isPulled: boolean }>

/** The network of a card that is on the pod network. */
export const podChoice = 'pod'

export const emptyDraft: Draft = {
  name: '',
  namespace: 'default',
  source: 'kernelBoot',
  image: 'demo-guest',
  memory: '256Mi',
  cpus: 1,
  sshKey: '',
  isStarted: true,
  cards: [{ name: 'default', network: podChoice, isPulled: false }],
}

/** The VirtualMachine of a draft. */
export function manifestOf(draft: Draft) {
  const { name, namespace, memory, cpus, isStarted, cards } = draft
  const disks = disksOf(draft)
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name, namespace },
    spec: {
      runStrategy: isStarted ? 'Always' : 'Halted',
      template: {
        spec: {
          domain: {
            cpu: { cores: cpus },
            memory: { guest: memory },
            ...(draft.source === 'kernelBoot' && { firmware: kernelOf(draft.image) }),
            devices: {
              ...(disks.length && { disks: disks.map((one) => ({ name: one.name, disk: { bus: 'virtio' } })) }),
              interfaces: cards.map((card) => ({
                name: card.name,
                ...(card.network === podChoice ? { masquerade: {} } : { bridge: {} }),
                ...(card.isPulled && { state: 'down' }),
              })),
            },
          },
          networks: cards.map((card) => ({
            name: card.name,
            ...(card.network === podChoice ? { pod: {} } : { multus: { networkName: card.network } }),
          })),
          ...(disks.length && { volumes: disks }),
        },
      },
    },
  }
}

function kernelOf(image: string) {
  return {
    kernelBoot: {
      container: { image, kernelPath: '/vmlinuz', initrdPath: '/initrd.img' },
      kernelArgs: 'console=ttyS0',
    },
  }
}

function disksOf({ source, image, sshKey }: Draft) {
  const root =
    source === 'containerDisk'
      ? [{ name: 'root', containerDisk: { image } }]
      : source === 'claim'
        ? [{ name: 'root', persistentVolumeClaim: { claimName: image } }]
        : []
  const userData = `#cloud-config\nssh_authorized_keys:\n- ${JSON.stringify(sshKey.trim())}\n`
  return [...root, ...(sshKey.trim() ? [{ name: 'seed', cloudInitNoCloud: { userData } }] : [])]
}

/** A card on another network than the cards that are there. */
export function nextCard(cards: readonly DraftCard[], networks: readonly string[]): DraftCard {
  const network = networks.find((one) => !cards.some((card) => card.network === one)) ?? networks[0] ?? noNetwork
  const base = network === noNetwork ? 'card' : (network.split('/').at(-1) ?? 'card')
  const taken = new Set(cards.map(({ name }) => name))
  let name = base
  for (let n = 2; taken.has(name); n++) name = `${base}-${n}`
  return { name, network, isPulled: false }
}
