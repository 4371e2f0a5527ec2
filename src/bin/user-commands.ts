import type { Command } from 'commander'
import { dataDirOption } from './options.ts'

const passwordOption = ['--password-file <file>', 'a file with the password, or - for the standard input'] as const

type Creation = Readonly<{ dataDir: string; group: string[]; out?: string; passwordFile?: string }>

/** Adds the commands about users. */
export function addUserCommands(program: Command): void {
  const user = program.command('user').description('who may use this installation')
  user
    .command('create <name>')
    .description(
      'write a kubeconfig with a client certificate, valid for a year; what its bearer may do, role bindings say',
    )
    .option(...dataDirOption)
    .option('--group <group>', 'a group the user belongs to; may be repeated', collect, [])
    .option('--out <file>', 'the kubeconfig to write; DIR/users/NAME.kubeconfig unless given')
    .option(...passwordOption)
    .action(async (name: string, { passwordFile, ...options }: Creation) => {
      const { createUser, setPassword } = await import('./user.ts')
      const groups = options.group
      console.log(`User ${name} signs in with ${await createUser({ ...options, name, groups })}`)
      if (passwordFile === undefined) return
      await setPassword({ dataDir: options.dataDir, name, groups, file: passwordFile })
      console.log(`User ${name}@internal signs in to oVirt’s API with the password`)
    })
  user
    .command('password <name>')
    .description('set another password for oVirt’s API; sessions with the old one end')
    .option(...dataDirOption)
    .requiredOption(...passwordOption)
    .action(async (name: string, { dataDir, passwordFile }: Readonly<{ dataDir: string; passwordFile: string }>) => {
      const { setPassword } = await import('./user.ts')
      await setPassword({ dataDir, name, file: passwordFile })
      console.log(`User ${name}@internal signs in to oVirt’s API with the new password`)
    })
  user
    .command('delete <name>')
    .description('take a user’s password for oVirt’s API away; their client certificate stays valid until it ends')
    .option(...dataDirOption)
    .action(async (name: string, { dataDir }: Readonly<{ dataDir: string }>) => {
      const { deletePassword } = await import('./user.ts')
      const isThere = await deletePassword(dataDir, name)
      console.log(isThere ? `User ${name}@internal has no password any more` : `User ${name}@internal had no password`)
    })
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}
