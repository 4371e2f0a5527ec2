import { Argument, type Command, Option } from 'commander'
import type { Choice } from '#cli/kubeconfig.ts'
import type { NicsFormat } from '#cli/nics.ts'
import { asClient, print, withClient } from './client-kit.ts'
import { countOf, sourcesOf } from './options.ts'
import { addStreamCommands } from './stream-commands.ts'
import { addVirtctlCommands } from './virtctl-commands.ts'

/** Adds the client commands. Their modules are imported when a command runs. */
export function addClientCommands(program: Command): void {
  addVirtctlCommands(program)
  addStreamCommands(program)
  addNicCommands(program)
  addPlugCommands(program)
  addMirrorCommand(program)
  addSqlCommand(program)
  asClient(program.command('page'))
    .description('open the page of the server in a browser, signed in as the user of the kubeconfig')
    .option('--print-url', 'only print its address, which signs in once within a minute')
    .action(async ({ printUrl = false, ...choice }: Choice & { printUrl?: boolean }) => {
      const [{ openPage }, { openBrowser }] = await Promise.all([import('#cli/page.ts'), import('./browser.ts')])
      await withClient(choice, (context) => openPage(context, printUrl ? undefined : openBrowser))
    })
  asClient(program.command('version'))
    .description('print the versions of client and server')
    .option('-c, --client', 'of the client only; needs no server')
    .action(async ({ client, ...choice }: Choice & { client?: boolean }) => {
      const { printVersion } = await import('#cli/version.ts')
      if (client) await printVersion(print, undefined)
      else await withClient(choice, async (context) => printVersion(print, async () => context.client))
    })
}

type SqlOptions = Choice & Readonly<{ output: 'table' | 'csv' | 'json'; export?: string }>

function addSqlCommand(program: Command): void {
  asClient(program.command('sql'))
    .argument(
      '[query]',
      'a select over vm_interface_view, vm_static, vm_interface, vm_device, network, vnic_profiles …',
    )
    .description('ask what there is by the tables of oVirt’s engine')
    .addOption(
      new Option('-o, --output <format>', 'how rows are printed').choices(['table', 'csv', 'json']).default('table'),
    )
    .option('--export <file>', 'write the tables to a new file of SQLite')
    .action(async (query: string | undefined, { output, export: file, ...choice }: SqlOptions) => {
      const { runSql } = await import('./sql.ts')
      await withClient(choice, ({ client }) => runSql(client, { query, output, file }, print.line))
    })
}

function addNicCommands(program: Command): void {
  asClient(program.command('nics'))
    .argument('<vm>')
    .description('show the interfaces of a VM as declared, in the hypervisor and in the guest')
    .addOption(new Option('-o, --output <format>', 'more columns, or data').choices(['wide', 'json']))
    .action((vm: string, { output = 'table', ...choice }: Choice & { output?: NicsFormat }) =>
      withClient(choice, async (context) => (await import('#cli/nics.ts')).showNics(context, vm, output)),
    )
  waiting(asClient(program.command('link')))
    .addArgument(new Argument('<state>').choices(['up', 'down']))
    .argument('<vm>')
    .argument('<interface>')
    .description('plug or pull the cable of an interface')
    .action(async (state: 'up' | 'down', vm: string, nic: string, options: Choice & Waiting) => {
      const how = await howLong(options)
      await withClient(options, async (context) =>
        (await import('#cli/link.ts')).setLink(context, [vm, nic], state, how),
      )
    })
  for (const [verb, description] of [
    ['isolate', 'pull all cables of a VM at once, and note which were plugged'],
    ['rejoin', 'plug the cables again that isolate has pulled'],
  ] as const)
    waiting(asClient(program.command(verb)))
      .argument('<vm>')
      .description(description)
      .action(async (vm: string, options: Choice & Waiting) => {
        const how = await howLong(options)
        await withClient(options, async (context) =>
          (await import('#cli/isolate.ts')).setIsolation(context, verb, vm, how),
        )
      })
  asClient(program.command('flap'))
    .argument('<vm>')
    .argument('<interface>')
    .description('pull and plug the cable of an interface again and again, and leave it as it was')
    .option('--down <duration>', 'how long it is pulled', '2s')
    .option('--up <duration>', 'how long it is plugged', '3s')
    .option('--count <count>', 'how many times', '5')
    .action(flapAction)
}

function addPlugCommands(program: Command): void {
  const ofInterface = (command: Command) => waiting(asClient(command)).argument('<vm>').argument('<interface>')
  const network = ['--network <nad>', 'its network, a NetworkAttachmentDefinition: NAME or NAMESPACE/NAME'] as const
  type Card = Readonly<{ network: string; mac?: string; model?: string; link?: 'up' | 'down' }>
  ofInterface(program.command('plug'))
    .description('give a VM another interface, while it runs too')
    .requiredOption(...network)
    .option('--mac <mac>', 'its MAC address; one of the pool unless given')
    .option('--model <model>', 'its device model; virtio unless given')
    .addOption(new Option('--link <state>', 'its link; up unless given').choices(['up', 'down']))
    .action(async (vm: string, nic: string, options: Choice & Waiting & Card) => {
      const how = await howLong(options)
      const { network, mac, model, link } = options
      await withClient(options, async (context) =>
        (await import('#cli/plug.ts')).plug(context, [vm, nic], { network, mac, model, link }, how),
      )
    })
  ofInterface(program.command('unplug'))
    .description('take an interface from a VM, while it runs too')
    .action(async (vm: string, nic: string, options: Choice & Waiting) => {
      const how = await howLong(options)
      await withClient(options, async (context) => (await import('#cli/plug.ts')).unplug(context, [vm, nic], how))
    })
  ofInterface(program.command('rewire'))
    .description('put an interface of a VM on another network, or on none; the guest keeps the card')
    .requiredOption('--to, --network <nad>', `${network[1]}; patchbay-none for no network`)
    .action(async (vm: string, nic: string, options: Choice & Waiting & Card) => {
      const how = await howLong(options)
      await withClient(options, async (context) =>
        (await import('#cli/plug.ts')).rewire(context, [vm, nic], options.network, how),
      )
    })
}

function addMirrorCommand(program: Command): void {
  asClient(program.command('mirror'))
    .argument('<vm>')
    .argument('<interface>')
    .description('copy all traffic of networks to an interface of a VM, while it runs too')
    .addOption(
      new Option(
        '--from <nads>',
        'the networks, NetworkAttachmentDefinitions: NAME or NAMESPACE/NAME, by commas',
      ).conflicts('off'),
    )
    .option('--off', 'end all copies')
    .option('--dry-run', 'only show what would be done')
    .action(async (vm: string, nic: string, options: Choice & { from?: string; off?: boolean; dryRun?: boolean }) => {
      const { from, off = false, dryRun = false } = options
      const sources = sourcesOf(from, off)
      await withClient(options, async (context) =>
        (await import('#cli/mirror.ts')).mirror(context, [vm, nic], sources, { dryRun }),
      )
    })
}

type Waiting = Readonly<{ wait?: string; timeout?: string; dryRun?: boolean }>

/** The options of commands that change the interfaces of a running guest. */
function waiting(command: Command): Command {
  return command
    .option('--wait <duration>', 'wait until hypervisor and guest have it so; --wait alone waits up to 60s')
    .option('--timeout <duration>', 'the same as --wait <duration>')
    .option('--dry-run', 'only show what would be done')
}

async function howLong({ wait, timeout, dryRun = false }: Waiting): Promise<{ waitMs?: number; dryRun: boolean }> {
  const { durationOf } = await import('#cli/duration.ts')
  if (timeout !== undefined) return { waitMs: durationOf('--timeout', timeout), dryRun }
  return wait === undefined ? { dryRun } : { waitMs: durationOf('--wait', wait), dryRun }
}

async function flapAction(
  vm: string,
  nic: string,
  options: Choice & { down: string; up: string; count: string },
): Promise<void> {
  const [{ flap }, { durationOf }, { hearInterrupts }] = await Promise.all([
    import('#cli/flap.ts'),
    import('#cli/duration.ts'),
    import('./interrupts.ts'),
  ])
  const times = {
    downMs: durationOf('--down', options.down),
    upMs: durationOf('--up', options.up),
    count: countOf('--count', options.count),
  }
  const interrupts = hearInterrupts()
  await withClient(options, (context) => flap(context, [vm, nic], times, interrupts))
}
