import type { Parameters } from './codec.ts'
import { migrateFlags } from './flags.ts'
import type { Domain } from './procedures.ts'

/** Where a migration goes and how. */
export type MigrationRequest = Readonly<{
  /** The other libvirt, as the source's libvirtd reaches it (a path is one of its own mount namespace). */
  destination: string
  /** Where QEMU sends the memory to: `unix:///path` or `tcp://address:port`. */
  migrateUri: string
  bandwidthMiBs?: number
  destinationXml?: string
  /** Added to live and peer to peer. */
  flags?: number
}>

/** The arguments of the one call that does a peer to peer migration. */
export function migrationArgs(domain: Domain, request: MigrationRequest) {
  const { destination, migrateUri, bandwidthMiBs, destinationXml, flags = 0 } = request
  const parameters: Parameters = {
    migrate_uri: migrateUri,
    ...(bandwidthMiBs !== undefined && { bandwidth: bandwidthMiBs }),
    ...(destinationXml !== undefined && { destination_xml: destinationXml }),
  }
  const allFlags = flags | migrateFlags.live | migrateFlags.peerToPeer
  return { domain, destination, parameters, cookie: Buffer.alloc(0), flags: allFlags }
}
