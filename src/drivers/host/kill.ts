import { eventually } from '#base/wait.ts'
import { findProcess, listSandboxProcesses, signalProcess } from '../libvirt/daemon/process.ts'
import { processesIn } from './netns.ts'

/** Timeout for killed processes to end, milliseconds. */
const killMs = 10_000

/** Kills every process of a sandbox and waits until they have ended. `inode` identifies its network namespace, if known. */
export async function killAll(dir: string, netns: string, inode: number | undefined): Promise<void> {
  const inNetns = await Promise.all((await processesIn(netns, inode)).map(findProcess))
  const all = [...(await listSandboxProcesses(dir)), ...inNetns.filter((one) => one !== undefined)]
  for (const one of all) await signalProcess(one, 'SIGKILL')
  await eventually(
    'the processes of a sandbox end',
    async () =>
      (
        await Promise.all(all.map(async ({ pid, startTime }) => (await findProcess(pid))?.startTime === startTime))
      ).every((alive) => !alive),
    { deadlineMs: killMs, everyMs: 5 },
  )
}
