import { Argument, type Command, Option } from 'commander'
import { explain } from '#base/fault.ts'
import { version } from '#base/version.ts'
import { type Context, Ending, type Print } from '#cli/context.ts'
import type { Choice } from '#cli/kubeconfig.ts'
import type { NicsFormat } from '#cli/nics.ts'
import type { PowerOptions } from '#cli/power.ts'
import { countOf } from './options.ts'

const print: Print = { line: (text) => console.log(text), note: (text) => console.error(text) }

/** Adds the commands that are clients of a server. What one needs is imported when it runs. */
export function addClientCommands(program: Command): void {
  addPowerCommands(program)
  addNicCommands(program)
  asClient(program.command('version'))
    .description('print the versions of client and server')
    .option('-c, --client', 'of the client only; needs no server')
    .action(async ({ client, ...choice }: Choice & { client?: boolean }) => {
      const { printVersion } = await import('#cli/version.ts')
      if (client) await printVersion(print, undefined)
      else await withClient(choice, async (context) => printVersion(print, async () => context.client))
    })
}

/** The verbs of virtctl. */
function addPowerCommands(program: Command): void {
  const power = (verb: 'start' | 'stop' | 'restart', description: string) =>
    asClient(program.command(verb))
      .argument('<vm>')
      .description(description)
      .option('--dry-run', 'only say whether it would work')
      .action((vm: string, options: Choice & PowerOptions) =>
        asVirtctl(() =>
          withClient(options, async (context) =>
            (await import('#cli/power.ts')).changePower(context, verb, vm, options),
          ),
        ),
      )
  const forcible = (command: Command) =>
    command
      .option('--force', 'do not wait for the guest to shut down; only with --grace-period=0')
      .option('--grace-period <seconds>', 'time the guest is given to shut down; only 0, and only with --force')
  power('start', 'start a VM').option('--paused', 'leave its guest paused')
  forcible(power('stop', 'stop a VM'))
  forcible(power('restart', 'restart a VM'))
  for (const verb of ['pause', 'unpause'] as const)
    asClient(program.command(verb))
      .argument('<type>', 'vm or vmi')
      .argument('<name>')
      .description(verb === 'pause' ? 'freeze the guest of a VM' : 'let the guest of a VM go on')
      .option('--dry-run', 'only say whether it would work')
      .action((type: string, name: string, options: Choice & { dryRun?: boolean }) =>
        asVirtctl(() =>
          withClient(options, async (context) => {
            const { changePause } = await import('#cli/power.ts')
            await changePause(context, verb, [type, name], options.dryRun ?? false)
          }),
        ),
      )
}

function addNicCommands(program: Command): void {
  asClient(program.command('nics'))
    .argument('<vm>')
    .description('show the interfaces of a VM as declared, in the hypervisor and in the guest')
    .addOption(new Option('-o, --output <format>', 'more columns, or data').choices(['wide', 'json']))
    .action((vm: string, { output = 'table', ...choice }: Choice & { output?: NicsFormat }) =>
      withClient(choice, async (context) => (await import('#cli/nics.ts')).showNics(context, vm, output)),
    )
  asClient(program.command('link'))
    .addArgument(new Argument('<state>').choices(['up', 'down']))
    .argument('<vm>')
    .argument('<interface>')
    .description('plug or pull the cable of an interface')
    .option('--wait <duration>', 'wait until the hypervisor has it so; --wait alone waits up to 60s')
    .option('--dry-run', 'only show what would be done')
    .action(
      async (state: 'up' | 'down', vm: string, nic: string, options: Choice & { wait?: string; dryRun?: boolean }) => {
        const { durationOf } = await import('#cli/duration.ts')
        const waitMs = options.wait === undefined ? {} : { waitMs: durationOf('--wait', options.wait) }
        await withClient(options, async (context) => {
          const { setLink } = await import('#cli/link.ts')
          await setLink(context, [vm, nic], state, { ...waitMs, dryRun: options.dryRun ?? false })
        })
      },
    )
  asClient(program.command('flap'))
    .argument('<vm>')
    .argument('<interface>')
    .description('pull and plug the cable of an interface again and again, and leave it as it was')
    .option('--down <duration>', 'how long it is pulled', '2s')
    .option('--up <duration>', 'how long it is plugged', '3s')
    .option('--count <count>', 'how many times', '5')
    .action(flapAction)
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

/** The options that say which server is meant, as kubectl has them. */
function asClient(command: Command): Command {
  return command
    .option('--kubeconfig <file>', 'the kubeconfig to use, instead of KUBECONFIG')
    .option('--context <name>', 'the context of the kubeconfig to use')
    .option('-n, --namespace <namespace>', 'the namespace, instead of that of the context')
}

async function withClient(choice: Choice, work: (context: Context) => Promise<void>): Promise<void> {
  const [{ findTarget }, { Connection }, { HttpClient }] = await Promise.all([
    import('#cli/kubeconfig.ts'),
    import('#machinery/client/connection.ts'),
    import('#machinery/client/http-client.ts'),
  ])
  const { endpoint, namespace } = await findTarget(choice)
  using connection = new Connection(endpoint, `patchbay/${version}`)
  await work({ client: new HttpClient(connection), namespace, print })
}

/** Whatever goes wrong is told as virtctl tells it: nothing before the text, and exit code 1. */
async function asVirtctl(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw error instanceof Ending ? error : new Ending(1, explain(error))
  }
}
