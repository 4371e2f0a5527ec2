import { Type } from 'typebox'
import { notCarriedOut, refused } from '../meta/fate.ts'
import { loose, type Of, oneOf } from '../meta/schema.ts'

/** Values of `state`. The empty string is `up`; `linkUp` and `linkDown` are the synonyms of KubeVirt's proposal draft. */
export const interfaceStates = ['', 'up', 'down', 'absent', 'linkUp', 'linkDown'] as const
export type InterfaceState = (typeof interfaceStates)[number]

/** Device models that KubeVirt accepts. */
export const interfaceModels = ['virtio', 'e1000', 'e1000e', 'igb', 'ne2k_pci', 'pcnet', 'rtl8139'] as const

const port = Type.Object({
  name: Type.Optional(Type.String()),
  protocol: Type.Optional(Type.String({ description: 'TCP (default) or UDP.' })),
  port: Type.Optional(Type.Integer()),
})

const portRange = Type.Object({
  protocol: Type.Optional(Type.String({ description: 'TCP (default) or UDP.' })),
  start: Type.Integer(),
  end: Type.Integer(),
})

const dhcpOptions = Type.Object({
  bootFileName: Type.Optional(Type.String()),
  tftpServerName: Type.Optional(Type.String()),
  ntpServers: Type.Optional(Type.Array(Type.String())),
  privateOptions: Type.Optional(Type.Array(Type.Object({ option: Type.Integer(), value: Type.String() }))),
})

/** Why interfaces with some bindings are nothing a guest gets. */
const notRun = 'no guest with it is started'
const discontinued = 'discontinued since KubeVirt v1.3'

/** One virtual network card of a VM (facts/kubevirt.md §1.1). */
export const interfaceSchema = Type.Object(
  {
    name: Type.String({ description: 'Name of the interface; must be the name of one of the networks.' }),
    model: Type.Optional(
      Type.String({ description: `Device model, one of ${interfaceModels.join(', ')}; virtio when absent.` }),
    ),
    bridge: Type.Optional(loose('Connects the guest to the network by a bridge.')),
    masquerade: Type.Optional(loose('Connects the guest to the pod network by NAT.')),
    sriov: Type.Optional(loose('Passes a virtual function through to the guest.')),
    passtBinding: Type.Optional(notCarriedOut(loose(), notRun)),
    binding: Type.Optional(
      notCarriedOut(Type.Object({ name: Type.String() }, { description: 'A registered binding plugin.' }), notRun),
    ),
    slirp: Type.Optional(refused(loose('Discontinued.'), discontinued)),
    macvtap: Type.Optional(refused(loose('Discontinued.'), discontinued)),
    passt: Type.Optional(refused(loose('Discontinued.'), discontinued)),
    ports: Type.Optional(
      Type.Array(port, { description: 'Ports of the pod address forwarded to the guest; all when empty.' }),
    ),
    portRanges: Type.Optional(Type.Array(portRange)),
    macAddress: Type.Optional(
      Type.String({ description: 'MAC address; taken from the pool and kept for life when absent.' }),
    ),
    bootOrder: Type.Optional(Type.Integer({ description: 'Position in the boot order of the firmware, from 1.' })),
    pciAddress: Type.Optional(
      Type.String({ description: 'Address in the guest: 0000:BB:00.0, BB being a root port from 01 to 1f.' }),
    ),
    acpiIndex: Type.Optional(
      Type.Integer({ description: 'Number from which the guest derives the name of its card.' }),
    ),
    tag: Type.Optional(Type.String({ description: 'Told to the guest in the metadata of its config drive.' })),
    dhcpOptions: Type.Optional(dhcpOptions),
    state: Type.Optional(
      Type.String({ description: 'State of the link: up (default), down (cable pulled) or absent (hot unplugged).' }),
    ),
  },
  { description: 'A network interface of the virtual machine.' },
)
export type Interface = Of<typeof interfaceSchema>

/** The network that an interface is connected to (facts/kubevirt.md §1.2). */
export const networkSchema = Type.Object({
  name: Type.String(),
  pod: Type.Optional(
    Type.Object({ vmNetworkCIDR: Type.Optional(Type.String()), vmIPv6NetworkCIDR: Type.Optional(Type.String()) }),
  ),
  multus: Type.Optional(
    Type.Object({
      networkName: Type.Optional(
        Type.String({ description: 'Name of a NetworkAttachmentDefinition: NAME or NAMESPACE/NAME.' }),
      ),
      default: Type.Optional(Type.Boolean()),
    }),
  ),
  resourceClaim: Type.Optional(
    Type.Object({ claimName: Type.Optional(Type.String()), requestName: Type.Optional(Type.String()) }),
  ),
})
export type Network = Of<typeof networkSchema>

/** One element of `status.interfaces` (facts/kubevirt.md §1.3). */
export const interfaceStatusSchema = Type.Object({
  name: Type.Optional(Type.String()),
  mac: Type.Optional(Type.String()),
  ipAddress: Type.Optional(Type.String()),
  ipAddresses: Type.Optional(Type.Array(Type.String())),
  guestAddresses: Type.Optional(
    Type.Array(Type.String(), {
      description:
        'What the guest itself has, where that differs from the addresses it is reached at. Not in KubeVirt.',
    }),
  ),
  interfaceName: Type.Optional(
    Type.String({ description: 'Name of the device in the guest, as the guest agent tells it.' }),
  ),
  podInterfaceName: Type.Optional(Type.String()),
  infoSource: Type.Optional(Type.String({ description: 'Who told: subset of domain, guest-agent, multus-status.' })),
  queueCount: Type.Optional(Type.Integer()),
  linkState: Type.Optional(oneOf(['up', 'down'])),
})
export type InterfaceStatus = Of<typeof interfaceStatusSchema>
