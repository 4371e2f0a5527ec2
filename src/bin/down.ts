import { readFile } from 'node:fs/promises'
import { Fault } from '#base/fault.ts'
import { readTextIfAny } from '#base/file.ts'
import type { Log } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { removeOutboundNat } from '#drivers/host/pod-network.ts'
import { type DataDir, dataDirAt } from './data-dir.ts'
import { hostSandboxes } from './host.ts'

export type DownOptions = Readonly<{ dataDir: string; graceMs: number; log: Log }>

/** How long a server may take to stop, milliseconds. */
const stopMs = 20_000

/** Stops the server of a data directory, shuts its guests down, and removes every trace of them from the host. */
export async function down({ dataDir, graceMs, log }: DownOptions, say: (line: string) => void): Promise<void> {
  const dir = dataDirAt(dataDir)
  const signal = new AbortController().signal
  if (await stopServer(dir)) say('Stopped the server')
  const { sandboxes, bridges } = hostSandboxes(dir, { log, isUnused: () => true })
  const found = await sandboxes.list()
  const problems: unknown[] = []
  await Promise.all(
    found.map(async ({ uid, namespace, name }) => {
      try {
        await sandboxes.shutdownGuest(uid, graceMs, signal)
        await sandboxes.remove(uid, signal)
        say(`Removed ${namespace}/${name}`)
      } catch (error) {
        problems.push(error)
      }
    }),
  )
  if (problems.length)
    throw new Fault(
      'Unavailable',
      `${problems.length} of ${found.length} sandboxes could not be removed; run patchbay down again once this is mended`,
      { cause: problems[0] },
    )
  await bridges.sweep(() => true, signal)
  await removeOutboundNat(signal)
  say(`Nothing of ${dir.root} runs on this host any more; its data is kept`)
}

/** The running server of a data directory: its process, if it is really ours. */
async function serverPid(dir: DataDir): Promise<number | undefined> {
  const pid = Number((await readTextIfAny(dir.pid))?.trim())
  if (!pid) return undefined
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return command.includes('patchbay') && command.split('\0').includes('up') ? pid : undefined
}

async function stopServer(dir: DataDir): Promise<boolean> {
  const pid = await serverPid(dir)
  if (pid === undefined) return false
  process.kill(pid, 'SIGTERM')
  await eventually(`the server (pid ${pid}) stops`, async () => (await serverPid(dir)) === undefined, {
    deadlineMs: stopMs,
    everyMs: 50,
  })
  return true
}
