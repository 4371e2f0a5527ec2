import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename } from 'node:path'
import { findDaemon } from '../libvirt/daemon/daemon.ts'
import { run } from './run.ts'

/** A network link as `ip -j link` shows it. */
export type Link = Readonly<{ ifname: string; mtu: number; master?: string }>

/** All links of a named namespace, or of our own. */
export async function listLinks(netns: string | undefined, signal: AbortSignal): Promise<Map<string, Link>> {
  const text = await run('ip', [...(netns ? ['-n', netns] : []), '-j', 'link'], { signal })
  return byName(JSON.parse(text) as Link[])
}

/**
 * All links of a sandbox. Its libvirtd sees them in its /sys, where they are read without starting a process: to start one
 * holds up all of Patchbay for as long as it takes to copy its page tables, milliseconds that grow with its memory.
 */
export async function listSandboxLinks(
  { dir, netns }: Readonly<{ dir: string; netns: string }>,
  signal: AbortSignal,
): Promise<Map<string, Link>> {
  const daemon = await findDaemon(dir)
  if (!daemon) return listLinks(netns, signal)
  try {
    return await readLinks(`/proc/${daemon.pid}/root/sys/class/net`)
  } catch {
    // A link or the libvirtd itself went away meanwhile.
    return listLinks(netns, signal)
  }
}

async function readLinks(folder: string): Promise<Map<string, Link>> {
  const read = async (ifname: string): Promise<Link> => {
    const [mtu, master] = await Promise.all([
      readFile(`${folder}/${ifname}/mtu`, 'utf8'),
      readlink(`${folder}/${ifname}/master`).catch(() => undefined),
    ])
    return { ifname, mtu: Number(mtu), ...(master !== undefined && { master: basename(master) }) }
  }
  return byName(await Promise.all((await readdir(folder)).map(read)))
}

function byName(links: readonly Link[]): Map<string, Link> {
  return new Map(links.map((link) => [link.ifname, link]))
}

/** Runs `ip` commands in a namespace as one batch: one process, in order, stops at the first failure. */
export async function ipBatch(
  netns: string | undefined,
  commands: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  if (!commands.length) return
  await run('ip', [...(netns ? ['-n', netns] : []), '-batch', '-'], { input: `${commands.join('\n')}\n`, signal })
}
