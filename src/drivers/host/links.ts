import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import type { Link as LinkState } from '#core/sandbox/wiring.ts'
import { findInit } from '../libvirt/daemon/daemon.ts'
import { isInSandbox } from '../libvirt/daemon/process.ts'
import { run } from './run.ts'

/** A network link, with its MAC. */
export type Link = LinkState & Readonly<{ address?: string }>

/** All links of a named namespace, or of this process's own. */
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
 * All links of a sandbox. They are read from the /sys of its first process, since starting a process blocks all of Patchbay while
 * the kernel copies its page tables, for milliseconds that grow with its memory.
 */
export async function listSandboxLinks(
  { dir, netns, init }: Readonly<{ dir: string; netns: string; init?: number }>,
  signal: AbortSignal,
): Promise<Map<string, Link>> {
  const pid = init !== undefined && (await isInSandbox(init, dir)) ? init : (await findInit(dir))?.pid
  if (pid === undefined) return listLinks(netns, signal)
  try {
    return readLinks(`/proc/${pid}/root/sys/class/net`)
  } catch {
    // The sandbox was removed meanwhile, or its /sys was unmounted.
    return listLinks(netns, signal)
  }
}

/** The flag IFF_UP of a link (linux/if.h). */
const up = 1

/**
 * Reads all links from a /sys; `folder` is its `class/net`. A link that disappears meanwhile is left out. The reads are
 * synchronous: the kernel answers at once, and asynchronous ones take several times as long.
 */
export function readLinks(folder: string): Map<string, Link> {
  const read = (ifname: string): Link[] => {
    const file = (name: string) => readFileSync(`${folder}/${ifname}/${name}`, 'utf8').trim()
    try {
      const isUp = (Number(file('flags')) & up) !== 0
      const master = unlessRefused(() => basename(readlinkSync(`${folder}/${ifname}/master`)))
      // The kernel refuses to read the carrier of a link that is down.
      const carrier = unlessRefused(() => file('carrier'))
      return [
        {
          ...{ ifname, mtu: Number(file('mtu')), address: file('address'), isUp },
          ...(isUp && carrier !== undefined && { hasCarrier: carrier === '1' }),
          ...(master !== undefined && { master }),
        },
      ]
    } catch (error) {
      if (['ENOENT', 'EINVAL', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
      throw error
    }
  }
  return byName(readdirSync(folder).flatMap(read))
}

/** The content of a file that may not exist or be readable. */
function unlessRefused(read: () => string): string | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

function byName(links: readonly Link[]): Map<string, Link> {
  return new Map(links.map((link) => [link.ifname, link]))
}

/** Runs `ip` commands in a namespace as one batch: in one process, in order, until the first failure. */
export async function ipBatch(
  netns: string | undefined,
  commands: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  if (!commands.length) return
  await run('ip', [...(netns ? ['-n', netns] : []), '-batch', '-'], { input: `${commands.join('\n')}\n`, signal })
}
