import {
  bool,
  type Codec,
  hyper,
  int,
  list,
  nothing,
  opaque,
  optional,
  parameters,
  string,
  struct,
  uhyper,
  uint,
  uuid,
} from './codec.ts'
import { program } from './wire.ts'

/** A domain in libvirt's protocol. The id is -1 for a domain that does not run. */
export type Domain = Readonly<{ name: string; uuid: string; id: number }>

export const domain: Codec<Domain> = struct({ name: string, uuid, id: int })

/** One procedure: its number, and the codecs of arguments and result. */
export type Procedure<A, R> = Readonly<{ program: number; number: number; args: Codec<A>; result: Codec<R> }>

function remote<A, R>(number: number, args: Codec<A>, result: Codec<R>): Procedure<A, R> {
  return { program: program.remote, number, args, result }
}

function qemu<A, R>(number: number, args: Codec<A>, result: Codec<R>): Procedure<A, R> {
  return { program: program.qemu, number, args, result }
}

const onDomain = struct({ domain })
const withFlags = struct({ domain, flags: uint })
const withXml = struct({ domain, xml: string, flags: uint })

const interfaceAddresses = list(
  struct({
    name: string,
    mac: optional(string),
    addresses: list(struct({ family: int, address: string, prefix: uint })),
  }),
)

const interfaceStats = struct({
  rxBytes: hyper,
  rxPackets: hyper,
  rxErrors: hyper,
  rxDropped: hyper,
  txBytes: hyper,
  txPackets: hyper,
  txErrors: hyper,
  txDropped: hyper,
})

const jobInfo = struct({
  type: int,
  timeElapsed: uhyper,
  timeRemaining: uhyper,
  dataTotal: uhyper,
  dataProcessed: uhyper,
  dataRemaining: uhyper,
  memoryTotal: uhyper,
  memoryProcessed: uhyper,
  memoryRemaining: uhyper,
  fileTotal: uhyper,
  fileProcessed: uhyper,
  fileRemaining: uhyper,
})

const migration = struct({ domain, destination: optional(string), parameters, cookie: opaque, flags: uint })
const capabilityQuery = {
  emulator: optional(string),
  arch: optional(string),
  machine: optional(string),
  virtType: optional(string),
}

/** Every procedure that Patchbay calls; the numbers and the order of fields are libvirt's protocol. */
export const procedures = {
  authList: remote(66, nothing, struct({ types: list(int) })),
  connectSupportsFeature: remote(60, struct({ feature: int }), struct({ supported: bool })),
  connectOpen: remote(1, struct({ uri: optional(string), flags: uint }), nothing),
  connectClose: remote(2, nothing, nothing),
  libVersion: remote(157, nothing, struct({ version: uhyper })),
  domainCapabilities: remote(342, struct({ ...capabilityQuery, flags: uint }), struct({ xml: string })),
  listAllDomains: remote(273, struct({ wanted: bool, flags: uint }), struct({ domains: list(domain), count: uint })),
  lookupByName: remote(23, struct({ name: string }), struct({ domain })),
  createXml: remote(10, struct({ xml: string, flags: uint }), struct({ domain })),
  getState: remote(212, withFlags, struct({ state: int, reason: int })),
  getXml: remote(14, withFlags, struct({ xml: string })),
  attachDevice: remote(160, withXml, nothing),
  detachDevice: remote(161, withXml, nothing),
  updateDevice: remote(174, withXml, nothing),
  detachAlias: remote(392, struct({ domain, alias: string, flags: uint }), nothing),
  shutdown: remote(258, withFlags, nothing),
  destroy: remote(234, withFlags, nothing),
  suspend: remote(34, onDomain, nothing),
  resume: remote(28, onDomain, nothing),
  reset: remote(245, withFlags, nothing),
  reboot: remote(27, withFlags, nothing),
  interfaceAddresses: remote(
    353,
    struct({ domain, source: uint, flags: uint }),
    struct({ interfaces: interfaceAddresses }),
  ),
  interfaceStats: remote(65, struct({ domain, device: string }), interfaceStats),
  setMetadata: remote(
    264,
    struct({
      domain,
      type: int,
      metadata: optional(string),
      key: optional(string),
      uri: optional(string),
      flags: uint,
    }),
    nothing,
  ),
  getMetadata: remote(
    265,
    struct({ domain, type: int, uri: optional(string), flags: uint }),
    struct({ metadata: string }),
  ),
  migratePerform: remote(305, migration, struct({ cookie: opaque })),
  migrateSetMaxDowntime: remote(166, struct({ domain, milliseconds: uhyper, flags: uint }), nothing),
  jobInfo: remote(163, onDomain, jobInfo),
  jobStats: remote(298, withFlags, struct({ type: int, parameters })),
  abortJob: remote(164, onDomain, nothing),
  registerEvent: remote(316, struct({ event: int, domain: optional(domain) }), struct({ callback: int })),
  monitorCommand: qemu(1, struct({ domain, command: string, flags: uint }), struct({ result: string })),
  agentCommand: qemu(
    3,
    struct({ domain, command: string, timeout: int, flags: uint }),
    struct({ result: optional(string) }),
  ),
} as const
