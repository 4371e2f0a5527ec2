import type { Command } from 'commander'

const actions = () => import('./vf-actions.ts')
const print = (line: string) => console.log(line)

/** Adds the commands about virtual functions of this host. Their modules are imported when they run. */
export function addVfCommands(program: Command): void {
  const vf = program.command('vf').description('the virtual functions (SR-IOV) of this host')
  vf.command('list')
    .description(
      'all virtual functions, with their cards, drivers and settings, and why one cannot be given to a guest',
    )
    .option('--pools <file>', 'a config.json of the SR-IOV device plugin: shows the pool of each')
    .action(async ({ pools }: { pools?: string }) => (await actions()).listVfs(pools, print))
  vf.command('check <address>')
    .description('try whether a virtual function can be given to a guest, and put back everything')
    .action(async (address: string) => (await actions()).checkVf(address, print))
}
