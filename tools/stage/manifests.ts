/** On a NetworkAttachmentDefinition whose guests use addresses that it did not give them. */
export const anySource = { 'patchbay.dev/any-source': 'true' } as const

/** A NetworkAttachmentDefinition of Debian's bridge plugin. */
export function nad(
  name: string,
  config: unknown = { cniVersion: '0.4.0', name, type: 'bridge', bridge: `br-${name}` },
  annotations: Readonly<Record<string, string>> = {},
) {
  const text = typeof config === 'string' ? config : JSON.stringify(config)
  return {
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata: { name, namespace: 'default', annotations },
    spec: { config: text },
  }
}

/** The same, giving guests addresses of a range. */
export function addressedNad(
  name: string,
  range: Readonly<{ subnet: string; rangeStart?: string; rangeEnd?: string }>,
) {
  const ipam = { type: 'host-local', ranges: [[range]] }
  return nad(name, { cniVersion: '0.4.0', name, type: 'bridge', bridge: `br-${name}`, ipam })
}

type VmOptions = Readonly<{
  runStrategy?: string
  /** State of the pod interface. */
  pod?: string
  /** Secondary interfaces by name (also the name of the NAD), with their states. */
  secondary?: Readonly<Record<string, string | undefined>>
  image?: string
  memory?: string
  graceSeconds?: number
  /** How the pod interface is bound. */
  binding?: 'masquerade' | 'bridge'
}>

/** A VM that boots the demo guest: one masquerade interface on the pod network, and bridges to NADs. */
export function vm(
  name: string,
  {
    runStrategy = 'Always',
    pod,
    secondary = {},
    image = 'demo-guest',
    memory = '128Mi',
    graceSeconds = 20,
    binding = 'masquerade',
  }: VmOptions = {},
) {
  const others = Object.entries(secondary)
  const state = (value: string | undefined) => (value === undefined ? {} : { state: value })
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'default' },
    spec: {
      runStrategy,
      template: {
        spec: {
          terminationGracePeriodSeconds: graceSeconds,
          domain: {
            memory: { guest: memory },
            firmware: {
              kernelBoot: {
                container: { image, kernelPath: '/vmlinuz', initrdPath: '/initrd.img' },
                kernelArgs: 'console=ttyS0',
              },
            },
            devices: {
              interfaces: [
                { name: 'default', [binding]: {}, ...state(pod) },
                ...others.map(([nic, value]) => ({ name: nic, bridge: {}, ...state(value) })),
              ],
            },
          },
          networks: [
            { name: 'default', pod: {} },
            ...others.map(([nic]) => ({ name: nic, multus: { networkName: nic } })),
          ],
        },
      },
    },
  }
}

/** The JSON patch that sets states of interfaces, by index. */
export function flip(states: Readonly<Record<number, string>>) {
  return Object.entries(states).map(([index, value]) => ({
    op: 'replace',
    path: `/spec/template/spec/domain/devices/interfaces/${index}/state`,
    value,
  }))
}

/** The JSON patch that gives a VM one more interface, on the network of a NAD. */
export function addition(name: string, network: string, more: Readonly<Record<string, string>> = {}) {
  return [
    { op: 'add', path: '/spec/template/spec/domain/devices/interfaces/-', value: { name, bridge: {}, ...more } },
    { op: 'add', path: '/spec/template/spec/networks/-', value: { name, multus: { networkName: network } } },
  ]
}
