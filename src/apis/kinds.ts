import { DataSource } from './cdi/datasource.ts'
import { DataVolume } from './cdi/datavolume.ts'
import { Lease } from './coordination/lease.ts'
import { ConfigMap } from './core/configmap.ts'
import { Event } from './core/event.ts'
import { Namespace } from './core/namespace.ts'
import { Node } from './core/node.ts'
import { PersistentVolumeClaim } from './core/persistentvolumeclaim.ts'
import { Pod } from './core/pod.ts'
import { ResourceQuota } from './core/resourcequota.ts'
import { Secret } from './core/secret.ts'
import { ServiceAccount } from './core/serviceaccount.ts'
import { VirtualMachineClusterInstancetype, VirtualMachineInstancetype } from './instancetype/instancetype.ts'
import { VirtualMachineClusterPreference, VirtualMachinePreference } from './instancetype/preference.ts'
import { KubeVirt } from './kubevirt/kubevirt.ts'
import { VirtualMachineInstanceMigration } from './kubevirt/migration.ts'
import { VirtualMachine } from './kubevirt/vm.ts'
import { VirtualMachineInstance } from './kubevirt/vmi.ts'
import type { Kind } from './meta/object.ts'
import { NetworkAttachmentDefinition } from './net/attachment.ts'
import { ClusterRoleBinding, RoleBinding } from './rbac/binding.ts'
import { ClusterRole, Role } from './rbac/role.ts'
import { StorageClass } from './storage/storageclass.ts'

/** Every kind the API server serves. */
export const kinds: readonly Kind[] = [
  Namespace,
  Node,
  Pod,
  Event,
  ConfigMap,
  Secret,
  ServiceAccount,
  ResourceQuota,
  PersistentVolumeClaim,
  StorageClass,
  Lease,
  VirtualMachine,
  VirtualMachineInstance,
  VirtualMachineInstanceMigration,
  KubeVirt,
  DataVolume,
  DataSource,
  VirtualMachineInstancetype,
  VirtualMachineClusterInstancetype,
  VirtualMachinePreference,
  VirtualMachineClusterPreference,
  NetworkAttachmentDefinition,
  Role,
  RoleBinding,
  ClusterRole,
  ClusterRoleBinding,
] as readonly Kind[]
