import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Link as LinkState } from '#core/sandbox/wiring.ts'
import { findDaemon } from '../libvirt/daemon/daemon.ts'
import { run } from './run.ts'

/** A network link, with its MAC. */
export type Link = LinkState & Readonly<{ address?: string }>

/** All links of a named namespace, or of our own. */
export async function listLinks(netns: string | undefined, signal: AbortSignal): Promise<Map<string, Link>> {
  const text = await run('ip', [...(netns ? ['-n', netns] : []), '-j', 'link'], { signal })
  const links = JSON.parse(text) as (Omit<Link, 'isUp'> & { flags: readonly string[] })[]
  return byName(
    links.map(({ ifname, mtu, master, address, flags }) => ({
      ...{ ifname, mtu, isUp: flags.includes('UP') },
      ...(flags.includes('UP') && { hasCarrier: flags.includes('LOWER_UP') }),
      ...(master !== undefined && { master }),
      ...(address !== undefined && { address }),
    })),
  )
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

/** The bit of a link's flags that says it is up (linux/if.h). */
const up = 1

/** Reads all links of the namespace that a /sys shows. One that goes away meanwhile is left out. */
async function readLinks(folder: string): Promise<Map<string, Link>> {
  const read = async (ifname: string): Promise<Link[]> => {
    try {
      const file = (name: string) => readFile(`${folder}/${ifname}/${name}`, 'utf8')
      const [mtu, address, flags, carrier, master] = await Promise.all([
        file('mtu'),
        file('address'),
        file('flags'),
        // Of a link that is down the kernel does not tell.
        file('carrier').catch(() => undefined),
        readlink(`${folder}/${ifname}/master`).catch(() => undefined),
      ])
      return [
        {
          ...{ ifname, mtu: Number(mtu), address: address.trim(), isUp: (Number(flags) & up) !== 0 },
          ...(carrier !== undefined && { hasCarrier: carrier.trim() === '1' }),
          ...(master !== undefined && { master: basename(master) }),
        },
      ]
    } catch (error) {
      if (['ENOENT', 'EINVAL', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
      throw error
    }
  }
  return byName((await Promise.all((await readdir(folder)).map(read))).flat())
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
