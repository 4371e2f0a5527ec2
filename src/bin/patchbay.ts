import { Command } from 'commander'
import { explain, Fault, faultKind } from '#base/fault.ts'
import { version } from '#base/version.ts'
import { Ending } from '#cli/context.ts'
import { defaultNamespaceLimits } from '#core/quota/limits.ts'
import { defaultUsers } from '#core/sandbox/users.ts'
import { plainArguments } from './arguments.ts'
import { addClientCommands } from './client-commands.ts'
import {
  addLimitOptions,
  bytesOption,
  countOf,
  limitsOf,
  secondsOf,
  tlsFilesOf,
  tokenLifeOf,
  userRangeOf,
} from './options.ts'

const defaultUids = `${defaultUsers.first}-${defaultUsers.last}`

// What a command needs is imported when it runs: a client command starts without the server's modules.
const logOf = async () => (await import('#base/log.ts')).makeLog()

const dataDirOption = [
  '--data-dir <dir>',
  'where everything is kept',
  process.env.PATCHBAY_DIR ?? '/var/lib/patchbay',
] as const

const program = new Command('patchbay')
  .description(
    'KubeVirt virtual machines on plain Linux hosts, with network cables you can plug, rewire and cut while they run',
  )
  .version(version)

addLimitOptions(program.command('up'))
  .description('run API server, controllers and node agent in this process')
  .option(...dataDirOption)
  .option('--listen <host:port>', 'address of the API server', '127.0.0.1:6443')
  .option(
    '--node <name>',
    'name of this node; the one the data directory remembers, else the name of the host, unless given',
  )
  .option('--cni-bin-dir <dirs>', 'folders with CNI plugins, separated by commas', '/usr/lib/cni,/opt/cni/bin')
  .option('--cni-timeout <seconds>', 'time a CNI plugin is given', '20')
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
  .option('--max-pods <count>', 'most pods of this node; the pod network may have addresses for less')
  .option(
    '--pod-cidr <network>',
    'addresses of this node’s pods; pods there keep what the data directory says (default: 10.244.0.0/23)',
  )
  .option(
    '--pod-bridge <name>',
    'bridge of the pod network; two servers on one host need one each (default: patchbay0)',
  )
  .option('--guest-uid-range <first-last>', 'uids that the processes of guests run as, two for each guest', defaultUids)
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
    'let everybody attach the networks of all namespaces, as Multus does, without the right to get them',
    false,
  )
  .option('--simulate', 'run guests in memory only, for trying the API without root', false)
  .action(
    async (
      options: {
        dataDir: string
        listen: string
        node?: string
        cniBinDir: string
        cniTimeout: string
        simulate: boolean
        guestUidRange: string
        maxPods?: string
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
      },
      command: Command,
    ) => {
      const stop = new AbortController()
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
      const cni = {
        pluginDirs: options.cniBinDir.split(','),
        timeoutMs: secondsOf('--cni-timeout', options.cniTimeout),
      }
      const audit = {
        maxBytes: countOf('--audit-log-maxsize', options.auditLogMaxsize) * 1024 * 1024,
        files: countOf('--audit-log-maxbackup', options.auditLogMaxbackup) + 1,
      }
      const { dataDir, listen, node, simulate, anyNamespaceNetworks, tokenAuthFile } = options
      const tlsFiles = tlsFilesOf(options)
      const { up } = await import('./up.ts')
      const { podBridgeOf, podCidrOf } = await import('./pod-network.ts')
      await up(
        {
          dataDir,
          listen,
          node,
          simulate,
          anyNamespaceNetworks,
          ...(tokenAuthFile !== undefined && { tokenAuthFile }),
          ...(tlsFiles && { tlsFiles }),
          cni,
          audit,
          maxTokenSeconds: tokenLifeOf(
            '--service-account-max-token-expiration',
            options.serviceAccountMaxTokenExpiration,
          ),
          ...(options.maxPods !== undefined && { maxPods: countOf('--max-pods', options.maxPods) }),
          podNetwork: {
            ...(options.podBridge !== undefined && { bridge: podBridgeOf('--pod-bridge', options.podBridge) }),
            ...(options.podCidr !== undefined && { subnet: podCidrOf('--pod-cidr', options.podCidr) }),
          },
          guestUsers: userRangeOf('--guest-uid-range', options.guestUidRange),
          namespaceLimits: {
            objects: countOf('--namespace-objects', options.namespaceObjects),
            bytes: bytesOption('--namespace-bytes', options.namespaceBytes),
          },
          limits: limitsOf(command),
          historyMs: secondsOf('--compaction-interval', options.compactionInterval),
          storeQuotaBytes: countOf('--store-quota', options.storeQuota) * 1024 * 1024,
          log: await logOf(),
          signal: stop.signal,
        },
        (line) => console.log(line),
      )
      // Everything is closed and on disk; no handle a library may still hold is to keep us from ending when told to.
      process.exit()
    },
  )

program
  .command('down')
  .description(
    'stop Patchbay and all its guests, and take everything it made off this host; the data directory is kept',
  )
  .option(...dataDirOption)
  .option('--timeout <seconds>', 'time guests are given to shut down', '30')
  .action(async ({ dataDir, timeout }: { dataDir: string; timeout: string }) => {
    const { down } = await import('./down.ts')
    const graceMs = secondsOf('--timeout', timeout)
    await down({ dataDir, graceMs, log: await logOf() }, (line) => console.log(line))
  })

program
  .command('backup <file>')
  .description('write store, keys and identity of a data directory to one file, also while its server runs')
  .option(...dataDirOption)
  .action(async (file: string, { dataDir }: { dataDir: string }) => {
    const { backup } = await import('./backup.ts')
    console.log(`The backup is in ${await backup({ file, dataDir })}; it has private keys in it`)
  })

program
  .command('restore <file>')
  .description('put a backup in the place of what is in a data directory, which is kept aside; no server may run')
  .option(...dataDirOption)
  .action(async (file: string, { dataDir }: { dataDir: string }) => {
    const { restore } = await import('./backup.ts')
    console.log(await restore({ file, dataDir }))
  })

const image = program.command('image').description('the images guests boot from')

image
  .command('import <name> <dir>')
  .description('make the vmlinuz and initrd.img of a folder an image for kernelBoot')
  .option(...dataDirOption)
  .action(async (name: string, from: string, { dataDir }: { dataDir: string }) => {
    const [{ createDataDir, dataDirAt }, { ImageFolder }] = await Promise.all([
      import('./data-dir.ts'),
      import('./images.ts'),
    ])
    const dir = await createDataDir(dataDirAt(dataDir), await logOf())
    await new ImageFolder(dir.images).import(name, from)
    console.log(`Image ${name} is ready: use it as spec.domain.firmware.kernelBoot.container.image`)
  })

image
  .command('build-demo')
  .description("make the image demo-guest from Debian's kernel, busybox and qemu-guest-agent")
  .option(...dataDirOption)
  .action(async ({ dataDir }: { dataDir: string }) => {
    const [{ createDataDir, dataDirAt }, { buildDemoImage }] = await Promise.all([
      import('./data-dir.ts'),
      import('./images.ts'),
    ])
    const dir = await createDataDir(dataDirAt(dataDir), await logOf())
    await buildDemoImage(dir, await logOf())
    console.log('Image demo-guest is ready: use it as spec.domain.firmware.kernelBoot.container.image')
  })

program
  .command('user')
  .description('who may use this installation')
  .command('create <name>')
  .description(
    'write a kubeconfig with a client certificate, valid for a year; what its bearer may do, role bindings say',
  )
  .option(...dataDirOption)
  .option('--group <group>', 'a group the user belongs to; may be repeated', collect, [])
  .option('--out <file>', 'the kubeconfig to write; DIR/users/NAME.kubeconfig unless given')
  .action(async (name: string, options: { dataDir: string; group: string[]; out?: string }) => {
    const { createUser } = await import('./user.ts')
    console.log(`User ${name} signs in with ${await createUser({ ...options, name, groups: options.group })}`)
  })

addClientCommands(program)

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}

/** What each kind of fault means to a shell; everything else is 1. */
const exitCodes: Readonly<Record<string, number>> = { Invalid: 2, BadRequest: 2, Unavailable: 3, Timeout: 4 }

try {
  await program.parseAsync(plainArguments(process.argv))
} catch (error) {
  const kind = faultKind(error)
  if (error instanceof Ending) console.error(error.message)
  else console.error(`patchbay: ${explain(error)}`)
  // A bug of the server has its stack in the server's log.
  if (kind === 'Bug' && error instanceof Error && !(error instanceof Fault || error instanceof Ending))
    console.error(error.stack)
  process.exitCode = error instanceof Ending ? error.code : (exitCodes[kind] ?? 1)
}
