import type { Command } from 'commander'
import { addAccessOptions, type GivenAccess } from './etcd-options.ts'

/** Adds the commands about the store. Their modules are imported when they run. */
export function addStoreCommands(program: Command): void {
  const store = program.command('store').description('where the objects of the API are kept')
  addAccessOptions(store.command('copy <from> <to>'))
    .description(
      'copy all objects between a data directory and etcd, named by URLs of its members; no server may run with either',
    )
    .action(async (from: string, to: string, given: GivenAccess) => {
      const { copyStore } = await import('./store-copy.ts')
      console.log(await copyStore(from, to, given))
    })
}
