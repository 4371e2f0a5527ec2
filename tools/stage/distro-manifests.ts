import type { vm } from './manifests.ts'

/** Manifests in the shapes that users of KubeVirt have, for the Debian guest of the tests. */

/** The name that the Debian guest is imported by. */
export const distroImage = 'debian'

type Seed = Readonly<{ userData: string; networkData?: string }>

/** The shape of KubeVirt's own examples: a container disk and a cloud-init disk on virtio. */
export function cloudVm(
  name: string,
  { image, seed, networks = {} }: Readonly<{ image: string; seed: Seed; networks?: Readonly<Record<string, string>> }>,
) {
  const others = Object.entries(networks)
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'default', labels: { 'kubevirt.io/vm': name } },
    spec: {
      running: true,
      template: {
        metadata: { labels: { 'kubevirt.io/vm': name } },
        spec: {
          terminationGracePeriodSeconds: 60,
          domain: {
            devices: {
              disks: [
                { name: 'containerdisk', disk: { bus: 'virtio' } },
                { name: 'cloudinitdisk', disk: { bus: 'virtio' } },
              ],
              interfaces: [
                { name: 'default', masquerade: {}, macAddress: '02:00:00:00:99:01' },
                ...others.map(([nic], i) => ({ name: nic, bridge: {}, macAddress: `02:00:00:00:99:1${i}` })),
              ],
              rng: {},
            },
            resources: { requests: { memory: '512Mi' } },
          },
          networks: [
            { name: 'default', pod: {} },
            ...others.map(([nic, networkName]) => ({ name: nic, multus: { networkName } })),
          ],
          volumes: [
            { name: 'containerdisk', containerDisk: { image } },
            { name: 'cloudinitdisk', cloudInitNoCloud: seed },
          ],
        },
      },
    },
  }
}

/** Volumes alone, one of each kind: their disks, and the buses of these, are KubeVirt's defaults. */
export function volumesVm(name: string, volumes: readonly object[]) {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'default' },
    spec: {
      runStrategy: 'Always',
      template: {
        spec: {
          domain: { memory: { guest: '512Mi' }, devices: { interfaces: [{ name: 'default', masquerade: {} }] } },
          networks: [{ name: 'default', pod: {} }],
          volumes,
        },
      },
    },
  }
}

/** A VM of the demo guest, with the Debian guest in its place: it boots from a disk, and is set up by cloud-init. */
export function onDistro(machine: ReturnType<typeof vm>) {
  const { spec } = machine.spec.template
  return {
    ...machine,
    spec: {
      ...machine.spec,
      template: {
        spec: {
          ...spec,
          domain: { memory: { guest: '512Mi' }, devices: spec.domain.devices },
          volumes: [
            { name: 'root', containerDisk: { image: distroImage } },
            { name: 'seed', cloudInitNoCloud: { userData: `#cloud-config\nhostname: ${machine.metadata.name}\n` } },
          ],
        },
      },
    },
  }
}
