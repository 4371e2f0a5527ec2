import type { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import type { MigrationConfiguration } from '#apis/kubevirt/migration.ts'

/** KubeVirt's defaults (facts/kubevirt.md §1.6). */
const defaults = {
  parallelMigrationsPerCluster: 5,
  parallelOutboundMigrationsPerNode: 2,
  bandwidthPerMigration: 0,
  progressTimeout: 150,
  completionTimeoutPerGiB: 150,
  allowAutoConverge: false,
  maxDowntimeMs: 900,
} as const satisfies MigrationConfiguration

/** The cluster's migration configuration with all defaults. */
export type MigrationConfig = Required<MigrationConfiguration>

/** The migration configuration of the cluster. */
export function migrationConfig(kubevirt: KubeVirt | undefined): MigrationConfig {
  return withDefaults(kubevirt?.spec?.configuration?.migrations)
}

/** A configuration with KubeVirt's defaults for absent fields. */
export function withDefaults(configuration: MigrationConfiguration | undefined): MigrationConfig {
  return { ...defaults, ...configuration }
}
