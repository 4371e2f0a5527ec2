/** Flags of libvirt's API by name; several are added up. */

/** Which domains to list. */
export const listFlags = {
  all: 0,
  active: 1,
  inactive: 2,
  persistent: 4,
  transient: 8,
  running: 16,
  paused: 32,
} as const

/** How a domain starts. */
export const createFlags = { none: 0, paused: 1, autodestroy: 2, validate: 16 } as const

/** Which XML of a domain to read. */
export const xmlFlags = { none: 0, secure: 1, inactive: 2, updateCpu: 4, migratable: 8 } as const

/** What a device change affects. */
export const deviceFlags = { current: 0, live: 1, config: 2, force: 4 } as const

/** How the guest is requested to shut down or reboot. */
export const powerFlags = { any: 0, acpi: 1, agent: 2 } as const

/** How a domain is stopped. `graceful` never sends SIGKILL. */
export const destroyFlags = { none: 0, graceful: 1 } as const

/** Where the addresses of a guest come from. */
export const addressSource = { lease: 0, agent: 1, arp: 2 } as const

/** Which metadata of a domain. */
export const metadataType = { description: 0, title: 1, element: 2 } as const

/** Whether metadata is changed in the running domain, in the stored one, or where it is. */
export const impactFlags = { current: 0, live: 1, config: 2 } as const

/** How a migration is done. Patchbay's are always peer to peer. */
export const migrateFlags = {
  live: 1,
  peerToPeer: 2,
  tunnelled: 4,
  paused: 32,
  changeProtection: 256,
  unsafe: 512,
  abortOnError: 4096,
  autoConverge: 8192,
  postCopy: 32_768,
  tls: 65_536,
} as const

/** Which job's statistics: the running one, or the last one that ended. */
export const jobStatsFlags = { running: 0, completed: 1, keepCompleted: 2 } as const
