import { realpath } from 'node:fs/promises'
import { explain, Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { removeOutboundNat } from '#drivers/host/pod-network.ts'
import { findProcess, signalProcess } from '#drivers/libvirt/daemon/process.ts'
import { type DataDir, dataDirAt } from './data-dir.ts'
import { diskImagesOf } from './disk-images.ts'
import { hostSandboxes } from './host.ts'
import { podNetworkIn } from './pod-network.ts'
import { findServer } from './server-process.ts'

export type DownOptions = Readonly<{ dataDir: string; graceMs: number; log: Log }>

/** How long a server may take to stop, milliseconds. */
const stopMs = 20_000

/** How long the links of removed network namespaces may stay on our bridges, milliseconds. */
const sweepMs = 5000

/** Stops the server of a data directory, shuts its guests down, and removes all of their state from the host. */
export async function down({ dataDir, graceMs, log }: DownOptions, say: (line: string) => void): Promise<void> {
  const root = await realpath(dataDirAt(dataDir).root).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT')
      throw new Fault('Invalid', `There is no data directory ${dataDir}; name it with --data-dir`)
    throw error
  })
  const dir = dataDirAt(root)
  const signal = new AbortController().signal
  say((await stopServer(dir)) ? 'Stopped the server' : `No server of ${dir.root} was running`)
  const podNetwork = await podNetworkIn(dir)
  const { sandboxes, bridges } = hostSandboxes(dir, {
    ...{ log, podNetwork, isUnused: () => true, letGoMs: 0, diskImages: await diskImagesOf(dir) },
  })
  const found = await sandboxes.list()
  const problems: unknown[] = []
  await Promise.all(
    found.map(async ({ uid, namespace, name }) => {
      try {
        await sandboxes.shutdownGuest(uid, graceMs, signal)
        const notUndone = await sandboxes.remove(uid, signal)
        say(`Removed ${namespace}/${name}`)
        for (const what of notUndone) say(`  not undone: ${what}`)
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
  // The kernel removes links of deleted namespaces with a delay; a link that stays longer belongs to others.
  const isSwept = async () => {
    await bridges.sweep(() => true, signal)
    return !(await bridges.any())
  }
  await eventually('nothing is on our bridges any more', isSwept, { deadlineMs: sweepMs, everyMs: 100 }).catch(
    (error: unknown) => log.warn({ cause: explain(error) }, 'Left bridges that still have links'),
  )
  await removeOutboundNat(podNetwork, signal)
  say(`Nothing of ${dir.root} runs on this host any more; its data is kept`)
}

/** Resolves to whether a server was running. */
async function stopServer(dir: DataDir): Promise<boolean> {
  const server = await findServer(dir)
  if (!server) return false
  await signalProcess(server, 'SIGTERM')
  const isGone = async () => (await findProcess(server.pid))?.startTime !== server.startTime
  await eventually(`the server (pid ${server.pid}) stops`, isGone, { deadlineMs: stopMs, everyMs: 50 })
  return true
}
