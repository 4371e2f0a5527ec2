import type { AbsentKind } from '#machinery/rest/actions.ts'

const oneByOne = 'make each VirtualMachine by itself, for example with kubectl kustomize or helm'
const noSnapshots = 'disks are not snapshotted; stop the VM and copy its disk'
const noExports = 'disks are not exported; stop the VM and copy its disk from the host'
const noBackups = 'disks are not backed up; patchbay backup saves the objects of the cluster'

/** Kinds of KubeVirt that clients ask for and that are not built, each with what to use instead. */
export const absentKinds: readonly AbsentKind[] = [
  ...inGroup('kubevirt.io', {
    virtualmachineinstancereplicasets: oneByOne,
    virtualmachineinstancepresets: 'KubeVirt has dropped them; use an instance type and a preference',
  }),
  ...inGroup('pool.kubevirt.io', { virtualmachinepools: oneByOne }),
  ...inGroup('snapshot.kubevirt.io', {
    virtualmachinesnapshots: noSnapshots,
    virtualmachinesnapshotcontents: noSnapshots,
    virtualmachinerestores: noSnapshots,
  }),
  ...inGroup('clone.kubevirt.io', {
    virtualmachineclones: 'VMs are not cloned; make another VirtualMachine from the same manifest',
  }),
  ...inGroup('export.kubevirt.io', { virtualmachineexports: noExports }),
  ...inGroup('backup.kubevirt.io', { virtualmachinebackups: noBackups, virtualmachinebackuptrackers: noBackups }),
  ...inGroup('migrations.kubevirt.io', {
    migrationpolicies:
      'migrations are limited for the whole cluster; set spec.configuration.migrations of the KubeVirt',
  }),
]

function inGroup(group: string, why: Readonly<Record<string, string>>): AbsentKind[] {
  return Object.entries(why).map(([plural, instead]) => ({ group, plural, instead }))
}
