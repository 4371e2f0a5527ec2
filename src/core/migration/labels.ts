/** On a pod: UID of the migration that it was created for (KubeVirt). */
export const migrationJobLabel = 'kubevirt.io/migrationJobUID'

/** On a migration: the name of its instance (KubeVirt). */
export const vmiNameLabel = 'kubevirt.io/vmi-name'

/** On an instance: the node that it is being migrated to, so that the node's agent watches it (KubeVirt). */
export const targetNodeLabel = 'kubevirt.io/migrationTargetNodeName'

/** On a pod: name of the migration that it was created for (KubeVirt). */
export const migrationJobAnnotation = 'kubevirt.io/migrationJobName'
