import { Pod } from '#apis/core/pod.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Kind } from '#apis/meta/object.ts'
import type { AbsentSubresource } from '#machinery/rest/actions.ts'

const onHost = 'use libvirt on its node: virsh -c "qemu+unix:///system?socket=DIR/pods/UID/run/libvirt/libvirt-sock"'
const byAddress = 'reach the guest at its addresses: kubectl get vmi NAME -o jsonpath={.status.interfaces}'
const noContainers = 'a launcher pod has no containers, it is the sandbox of a guest'
const noCopies = 'disks are copied by a DataVolume with source pvc, while no guest uses them'

/** Subresources of Kubernetes and KubeVirt that clients ask for and that are not built, each with what to use instead. */
export const absentSubresources: readonly AbsentSubresource[] = [
  ...of(Pod, {
    exec: `${noContainers}; ${onHost}`,
    attach: `${noContainers}; ${onHost}`,
    portforward: `${noContainers}; ${byAddress}`,
    proxy: `${noContainers}; ${byAddress}`,
    ephemeralcontainers: noContainers,
    resize: 'the size of a pod follows from its instance; change the VM and restart it',
    binding: 'the server chooses the node of an instance; use nodeSelector',
  }),
  ...of(VirtualMachine, { scale: 'a VM has one instance at most; use patchbay start and stop' }),
  ...of(
    { ...VirtualMachineInstance, group: 'subresources.kubevirt.io' },
    {
      vsock: 'guests have no vsock device',
      usbredir: 'guests have no USB devices',
      userlist: `the users of a guest are not asked for; ${onHost}`,
      filesystemlist: `the file systems of a guest are not asked for; ${onHost}`,
      freeze: noCopies,
      unfreeze: noCopies,
      backup: noCopies,
      'redefine-checkpoint': noCopies,
      'reset-backup': noCopies,
      objectgraph: 'the objects of an instance are its pod and its networks',
    },
  ),
  ...of(
    { ...VirtualMachine, group: 'subresources.kubevirt.io' },
    {
      memorydump: 'the memory of a guest is not dumped',
      removememorydump: 'the memory of a guest is not dumped',
      objectgraph: 'the objects of a VM are its instance, its pod and its networks',
    },
  ),
]

function of(
  { group, version, plural }: Pick<Kind, 'group' | 'version' | 'plural'>,
  why: Readonly<Record<string, string>>,
): AbsentSubresource[] {
  return Object.entries(why).map(([subresource, instead]) => ({ at: { group, version, plural }, subresource, instead }))
}
