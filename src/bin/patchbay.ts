import { Command, CommanderError } from 'commander'
import { explain, Fault, faultKind } from '#base/fault.ts'
import { version } from '#base/version.ts'
import { ExitError } from '#cli/context.ts'
import { plainArguments } from './arguments.ts'
import { addClientCommands } from './client-commands.ts'
import { addImageCommands } from './image-commands.ts'
import { dataDirOption, secondsOf } from './options.ts'
import { addStoreCommands } from './store-commands.ts'
import { addUpCommand } from './up-command.ts'
import { addUserCommands } from './user-commands.ts'
import { addVfCommands } from './vf-commands.ts'
import { virtctlVerbs } from './virtctl-commands.ts'

// The modules of a command are imported when it runs: a client command starts without the server's.
const logOf = async () => (await import('#base/log.ts')).makeLog()

const program = new Command('patchbay')
  .description(
    'KubeVirt virtual machines on plain Linux hosts, with network cables you can plug, rewire and cut while they run',
  )
  .version(version)
  // Inherited by every command that is added from here on.
  .exitOverride()

addUpCommand(program.command('up'), logOf)

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

addStoreCommands(program)
addImageCommands(program, logOf)
addVfCommands(program)
addUserCommands(program)
addClientCommands(program)

/** The exit code of each kind of fault; every other is 1. */
const exitCodes: Readonly<Record<string, number>> = { Invalid: 2, BadRequest: 2, Unavailable: 3, Timeout: 4 }

/** The exit code after a wrong command line, which commander has explained already; asking for help is none. */
function usageCode({ exitCode }: CommanderError): number {
  if (exitCode === 0) return 0
  return virtctlVerbs.has(process.argv[2] ?? '') ? 1 : 2
}

try {
  await program.parseAsync(plainArguments(process.argv))
} catch (error) {
  if (error instanceof CommanderError) process.exit(usageCode(error))
  const kind = faultKind(error)
  if (error instanceof ExitError) console.error(error.message)
  else console.error(`patchbay: ${explain(error)}`)
  // A bug of the server has its stack in the server's log.
  if (kind === 'Bug' && error instanceof Error && !(error instanceof Fault || error instanceof ExitError))
    console.error(error.stack)
  process.exitCode = error instanceof ExitError ? error.code : (exitCodes[kind] ?? 1)
}
