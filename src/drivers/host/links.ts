import { run } from './run.ts'

/** A network link as `ip -j -d link` shows it. */
export type Link = Readonly<{
  ifname: string
  mtu: number
  operstate: string
  master?: string
  altnames?: readonly string[]
  address?: string
  linkinfo?: Readonly<{ info_kind?: string }>
}>

/** All links of a named namespace, or of our own. */
export async function listLinks(netns: string | undefined, signal: AbortSignal): Promise<Map<string, Link>> {
  const text = await run('ip', [...(netns ? ['-n', netns] : []), '-j', '-d', 'link'], { signal })
  const links = JSON.parse(text) as Link[]
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
