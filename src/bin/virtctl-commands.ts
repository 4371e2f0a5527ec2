import type { Command } from 'commander'
import type { Choice } from '#cli/kubeconfig.ts'
import type { PowerOptions } from '#cli/power.ts'
import type { AddVolumeOptions } from '#cli/volumes.ts'
import { asClient, asVirtctl } from './client-kit.ts'

type Trial = Choice & Readonly<{ dryRun?: boolean }>

const dryRunOption = ['--dry-run', 'only say whether it would work'] as const

/** Their names: whatever goes wrong with them, their exit code is 1, as virtctl's. */
export const virtctlVerbs: ReadonlySet<string> = new Set([
  ...['start', 'stop', 'restart', 'pause', 'unpause', 'reset', 'soft-reboot', 'guestosinfo'],
  ...['migrate', 'migrate-cancel', 'addinterface', 'removeinterface', 'addvolume', 'removevolume'],
  ...['console', 'vnc', 'port-forward', 'ssh', 'scp'],
])

/** Adds the commands that virtctl has, with its flags. Their modules are imported when a command runs. */
export function addVirtctlCommands(program: Command): void {
  addPowerCommands(program)
  addGuestCommands(program)
  addMigrateCommands(program)
  addInterfaceCommands(program)
  addVolumeCommands(program)
}

function addPowerCommands(program: Command): void {
  const power = (verb: 'start' | 'stop' | 'restart', description: string) =>
    asClient(program.command(verb))
      .argument('<vm>')
      .description(description)
      .option(...dryRunOption)
      .action((vm: string, options: Choice & PowerOptions) =>
        asVirtctl(options, async (context) => (await import('#cli/power.ts')).changePower(context, verb, vm, options)),
      )
  const forcible = (command: Command) =>
    command
      .option('--force', 'do not wait for the guest to shut down; only with --grace-period=0')
      .option('--grace-period <seconds>', 'time the guest is given to shut down; only 0, and only with --force')
  power('start', 'start a VM').option('--paused', 'leave its guest paused')
  forcible(power('stop', 'stop a VM'))
  forcible(power('restart', 'restart a VM'))
}

function addGuestCommands(program: Command): void {
  for (const verb of ['pause', 'unpause'] as const)
    asClient(program.command(verb))
      .argument('<type>', 'vm or vmi')
      .argument('<name>')
      .description(verb === 'pause' ? 'freeze the guest of a VM' : 'let the guest of a VM go on')
      .option(...dryRunOption)
      .action((type: string, name: string, options: Trial) =>
        asVirtctl(options, async (context) => {
          const { changePause } = await import('#cli/power.ts')
          await changePause(context, verb, [type, name], options.dryRun ?? false)
        }),
      )
  const descriptions = { 'soft-reboot': 'tell the guest to reboot', reset: 'press the reset button of the guest' }
  for (const verb of ['soft-reboot', 'reset'] as const)
    asClient(program.command(verb))
      .argument('<vmi>')
      .description(descriptions[verb])
      .action((vmi: string, options: Choice) =>
        asVirtctl(options, async (context) => (await import('#cli/guest.ts')).rebootGuest(context, verb, vmi)),
      )
  asClient(program.command('guestosinfo'))
    .argument('<vmi>')
    .description('print what the guest agent reports of its system, as JSON')
    .action((vmi: string, options: Choice) =>
      asVirtctl(options, async (context) => (await import('#cli/guest.ts')).showGuestInfo(context, vmi)),
    )
}

function addMigrateCommands(program: Command): void {
  asClient(program.command('migrate'))
    .argument('<vm>')
    .description('move the guest of a VM to another node while it runs')
    .option('--addedNodeSelector <key=value,...>', 'labels that node must have, beside those the VM asks for')
    .option(...dryRunOption)
    .action((vm: string, options: Trial & { addedNodeSelector?: string }) =>
      asVirtctl(options, async (context) => {
        const { migrate } = await import('#cli/migrate.ts')
        const labels = options.addedNodeSelector?.split(',') ?? []
        await migrate(context, vm, { labels, dryRun: options.dryRun ?? false })
      }),
    )
  asClient(program.command('migrate-cancel'))
    .argument('<vm>')
    .description('give up the migration of a VM that is under way')
    .option(...dryRunOption)
    .action((vm: string, options: Trial) =>
      asVirtctl(options, async (context) =>
        (await import('#cli/migrate.ts')).cancelMigration(context, vm, options.dryRun ?? false),
      ),
    )
}

function addInterfaceCommands(program: Command): void {
  const named = (command: Command) => asClient(command).requiredOption('--name <name>', 'name of the interface')
  named(program.command('addinterface'))
    .argument('<vm>')
    .description('add an interface to a VM, as virtctl 1.0 did; see plug')
    .requiredOption('--network-attachment-definition-name <nad>', 'its network: NAME or NAMESPACE/NAME')
    .action((vm: string, options: Choice & { name: string; networkAttachmentDefinitionName: string }) =>
      asVirtctl(options, async (context) => (await import('#cli/interfaces.ts')).addInterface(context, vm, options)),
    )
  named(program.command('removeinterface'))
    .argument('<vm>')
    .description('remove an interface from a VM, as virtctl 1.0 did; see unplug')
    .action((vm: string, options: Choice & { name: string }) =>
      asVirtctl(options, async (context) =>
        (await import('#cli/interfaces.ts')).removeInterface(context, vm, options.name),
      ),
    )
}

function addVolumeCommands(program: Command): void {
  const named = (command: Command, description: string) =>
    asClient(command)
      .argument('<vm>')
      .description(description)
      .requiredOption('--volume-name <name>', 'name of the DataVolume or claim')
      .option(...dryRunOption)
  named(program.command('addvolume'), 'plug a volume into a VM while it runs')
    .option('--disk-name <name>', 'name of the disk in the VM; that of the volume unless given')
    .option('--serial <serial>', 'serial number that the guest sees; the name of the volume unless given')
    .option('--cache <mode>', 'cache mode: none, writethrough or writeback')
    .option('--bus <bus>', 'scsi or virtio', 'scsi')
    .option('--disk-type <type>', 'disk or lun', 'disk')
    .action((vm: string, options: Choice & AddVolumeOptions) =>
      asVirtctl(options, async (context) => (await import('#cli/volumes.ts')).addVolume(context, vm, options)),
    )
  named(program.command('removevolume'), 'unplug a volume from a VM while it runs').action(
    (vm: string, options: Choice & AddVolumeOptions) =>
      asVirtctl(options, async (context) => (await import('#cli/volumes.ts')).removeVolume(context, vm, options)),
  )
}
