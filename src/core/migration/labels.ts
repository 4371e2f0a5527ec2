/** On a pod: UID of the migration it was made for (KubeVirt). */
export const migrationJobLabel = 'kubevirt.io/migrationJobUID'

/** On a migration: the instance it moves (KubeVirt). */
export const vmiNameLabel = 'kubevirt.io/vmi-name'

/** On an instance: the node it is being moved to, whose agent is to see it (KubeVirt). */
export const targetNodeLabel = 'kubevirt.io/migrationTargetNodeName'

/** On a pod: name of the migration it was made for (KubeVirt). */
export const migrationJobAnnotation = 'kubevirt.io/migrationJobName'
