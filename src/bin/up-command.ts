import type { Command } from 'commander'
import type { Log } from '#base/log.ts'
import { defaultNamespaceLimits } from '#core/quota/limits.ts'
import { defaultUsers } from '#core/sandbox/users.ts'
import { addEtcdOptions, etcdOf, type GivenEtcd } from './etcd-options.ts'
import { addDownloadOptions, downloadOptionsOf, type GivenDownloads } from './image-options.ts'
import { addThresholdOptions, type GivenThresholds, thresholdsOf } from './image-thresholds.ts'
import {
  acceleratorOf,
  addLimitOptions,
  bytesOption,
  countOf,
  dataDirOption,
  foldersOf,
  limitsOf,
  secondsOf,
  tlsFilesOf,
  tokenLifeOf,
  userRangeOf,
} from './options.ts'
import type { UpOptions } from './up.ts'

const dayMs = 24 * 3600 * 1000
const defaultOvirtListen = '127.0.0.1:7444'
const defaultUids = `${defaultUsers.first}-${defaultUsers.last}`

/** The options of `up` as parsed: texts, except for switches. */
type Given = GivenDownloads &
  GivenThresholds &
  GivenEtcd &
  Readonly<{
    dataDir: string
    listen: string
    ovirtListen: string
    vdsmListen: string
    ovirtEventsDays: string
    node?: string
    cniBinDir: string
    cniTimeout: string
    simulate: boolean
    accelerator: string
    guestUidRange: string
    maxPods?: string
    hostDiskDir?: string
    podCidr?: string
    podBridge?: string
    serviceAccountMaxTokenExpiration: string
    tokenAuthFile?: string
    tlsCertFile?: string
    tlsPrivateKeyFile?: string
    auditLogMaxsize: string
    auditLogMaxbackup: string
    compactionInterval: string
    storeQuota: string
    namespaceObjects: string
    namespaceBytes: string
    anyNamespaceNetworks: boolean
  }>

/** Makes a command the one that runs Patchbay until a signal ends it. */
export function addUpCommand(command: Command, logOf: () => Promise<Log>): void {
  addThresholdOptions(addDownloadOptions(addHostOptions(addEtcdOptions(addServerOptions(addLimitOptions(command))))))
    .description('run API server, controllers and node agent in this process')
    .option(...dataDirOption)
    .option('--simulate', 'run guests in memory only, for trying the API without root', false)
    .action(async (given: Given) => {
      const stop = new AbortController()
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
      const { up } = await import('./up.ts')
      const etcd = await etcdOf(given)
      const options = { ...serverOptionsOf(given, command), ...(await hostOptionsOf(given)), ...(etcd && { etcd }) }
      await up({ ...options, log: await logOf(), signal: stop.signal }, (line) => console.log(line))
      // Everything is closed and on disk; a handle that a library still holds must not keep the process alive.
      process.exit()
    })
}

function addServerOptions(command: Command): Command {
  return command
    .option('--listen <host:port>', 'address of the API server', '127.0.0.1:6443')
    .option(
      '--ovirt-listen <host:port>',
      'address of oVirt’s API over the same VMs; off serves none',
      defaultOvirtListen,
    )
    .option(
      '--vdsm-listen <host:port>',
      'address of vdsm’s API over the same VMs, for clients with a certificate; off serves none',
      'off',
    )
    .option('--ovirt-events-days <days>', 'how long entries of oVirt’s audit log are kept', '30')
    .option('--token-auth-file <file>', 'tokens that sign users in, as lines of token,user,uid[,"group1,group2"]')
    .option(
      '--service-account-max-token-expiration <seconds>',
      'longest life of a ServiceAccount token; one that is asked to live longer is shortened',
      '86400',
    )
    .option(
      '--tls-cert-file <file>',
      'certificate (PEM) to show clients instead of one of our own authority; read again when it changes',
    )
    .option('--tls-private-key-file <file>', 'its private key (PEM)')
    .option('--audit-log-maxsize <MiB>', 'size at which the audit log begins a new file', '10')
    .option('--audit-log-maxbackup <count>', 'how many old files of the audit log are kept', '4')
    .option('--compaction-interval <seconds>', 'how long changes are kept for watches that come back', '300')
    .option('--store-quota <MiB>', 'size of the store above which only deletes and small changes are possible', '2048')
    .option(
      '--namespace-objects <count>',
      'most objects of a namespace; the system’s own namespaces have no such bound',
      String(defaultNamespaceLimits.objects),
    )
    .option('--namespace-bytes <bytes>', 'most bytes of all objects of a namespace', '256Mi')
    .option(
      '--any-namespace-networks',
      'let all users attach the networks of all namespaces, as Multus does, without the right to get them',
      false,
    )
}

function addHostOptions(command: Command): Command {
  return command
    .option(
      '--node <name>',
      'name of this node; the one the data directory remembers, else the name of the host, unless given',
    )
    .option('--cni-bin-dir <dirs>', 'folders with CNI plugins, separated by commas', '/usr/lib/cni,/opt/cni/bin')
    .option('--cni-timeout <seconds>', 'time a CNI plugin is given', '20')
    .option(
      '--host-disk-dir <dirs>',
      'folders of this host, separated by commas, whose files guests may have as disks (volume hostDisk); none unless given',
    )
    .option(
      '--accelerator <auto|kvm|tcg>',
      'what guests run with: KVM, emulation, or what a probe finds to work',
      'auto',
    )
    .option('--max-pods <count>', 'most pods of this node; the pod network may have addresses for less')
    .option(
      '--pod-cidr <network>',
      'addresses of this node’s pods; pods there keep what the data directory says (default: 10.244.0.0/23)',
    )
    .option(
      '--pod-bridge <name>',
      'bridge of the pod network; two servers on one host need one each (default: patchbay0)',
    )
    .option(
      '--guest-uid-range <first-last>',
      'uids that the processes of guests run as, two for each guest',
      defaultUids,
    )
}

/** @throws Fault Invalid that names the option */
function serverOptionsOf(given: Given, command: Command) {
  const { dataDir, listen, anyNamespaceNetworks, tokenAuthFile } = given
  const tlsFiles = tlsFilesOf(given)
  const { ovirtListen, vdsmListen } = given
  const isDefault = command.getOptionValueSource('ovirtListen') === 'default'
  return {
    dataDir,
    listen,
    auditEntriesMs: countOf('--ovirt-events-days', given.ovirtEventsDays) * dayMs,
    ...(ovirtListen !== 'off' && { ovirt: { listen: ovirtListen, isDefault } }),
    ...(vdsmListen !== 'off' && { vdsmListen }),
    anyNamespaceNetworks,
    ...(tokenAuthFile !== undefined && { tokenAuthFile }),
    ...(tlsFiles && { tlsFiles }),
    audit: {
      maxBytes: countOf('--audit-log-maxsize', given.auditLogMaxsize) * 1024 * 1024,
      files: countOf('--audit-log-maxbackup', given.auditLogMaxbackup) + 1,
    },
    maxTokenSeconds: tokenLifeOf('--service-account-max-token-expiration', given.serviceAccountMaxTokenExpiration),
    namespaceLimits: {
      objects: countOf('--namespace-objects', given.namespaceObjects),
      bytes: bytesOption('--namespace-bytes', given.namespaceBytes),
    },
    limits: limitsOf(command),
    historyMs: secondsOf('--compaction-interval', given.compactionInterval),
    storeQuotaBytes: countOf('--store-quota', given.storeQuota) * 1024 * 1024,
  } satisfies Partial<UpOptions>
}

/** @throws Fault Invalid that names the option */
async function hostOptionsOf(given: Given) {
  const { node, simulate, maxPods, podBridge, podCidr } = given
  const { podBridgeOf, podCidrOf } = await import('./pod-network.ts')
  return {
    node,
    simulate,
    cni: { pluginDirs: given.cniBinDir.split(','), timeoutMs: secondsOf('--cni-timeout', given.cniTimeout) },
    hostDiskFolders: given.hostDiskDir === undefined ? [] : await foldersOf('--host-disk-dir', given.hostDiskDir),
    ...(maxPods !== undefined && { maxPods: countOf('--max-pods', maxPods) }),
    podNetwork: {
      ...(podBridge !== undefined && { bridge: podBridgeOf('--pod-bridge', podBridge) }),
      ...(podCidr !== undefined && { subnet: podCidrOf('--pod-cidr', podCidr) }),
    },
    downloads: downloadOptionsOf(given),
    imageThresholds: thresholdsOf(given),
    accelerator: acceleratorOf('--accelerator', given.accelerator),
    guestUsers: userRangeOf('--guest-uid-range', given.guestUidRange),
  } satisfies Partial<UpOptions>
}
