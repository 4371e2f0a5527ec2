import type { Parameters } from './codec.ts'
import { migrateFlags } from './flags.ts'
import type { Domain } from './procedures.ts'

/** Options of a migration. */
export type MigrationRequest = Readonly<{
  /** URI of the target's libvirtd for the source's (paths are those of the source's mount namespace). */
  destination: string
  /** The address to which QEMU sends the memory: `unix:///path` or `tcp://address:port`. */
  migrateUri: string
  bandwidthMiBs?: number
  destinationXml?: string
  /** Added to live and peer to peer. */
  flags?: number
}>

/** The arguments of the call for a peer to peer migration. */
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
