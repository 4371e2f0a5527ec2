import { hostname } from 'node:os'
import { join } from 'node:path'
import { Namespace } from '#apis/core/namespace.ts'
import { Node } from '#apis/core/node.ts'
import { Fault } from '#base/fault.ts'
import { exists, readTextIfAny, writeFileAtomic } from '#base/file.ts'
import { isObject, parsedJson } from '#base/json.ts'
import { foldersOf } from '#drivers/host/records.ts'
import { storeKey } from '#machinery/rest/doc.ts'
import type { Store } from '#machinery/store/store.ts'
import { clusterNamespace } from '#server/bootstrap.ts'
import type { DataDir } from './data-dir.ts'

/** What a data directory says about itself: its layout, its cluster and its node. */
type Identity = Readonly<{ layout: number; node: string; cluster: string }>

/** The layout this version writes. A directory without an identity has layout 0, which differs in nothing else. */
const currentLayout = 1

/** A usable data directory, as far as can be checked without its store. */
export type Claim = Readonly<{
  /** Resolves to the name of this node. @throws Fault Invalid for a store that does not belong to the directory's sandboxes */
  admit(store: Store): Promise<string>
  /** Writes the identity into the directory. */
  keep(node: string, cluster: string): Promise<void>
}>

/**
 * Checks a data directory against its identity. Guests belong to the store they were created from: with another store
 * nothing is started, because its controllers do not know them.
 * `elsewhere` names the store when it is not the file in the directory. @throws Fault Invalid with a remedy
 */
export async function claimDataDir(dir: DataDir, wantedNode: string | undefined, elsewhere?: string): Promise<Claim> {
  const store = elsewhere ?? dir.store
  const path = join(dir.root, 'identity.json')
  const identity = await readIdentity(path)
  if (identity && wantedNode !== undefined && wantedNode !== identity.node)
    throw new Fault(
      'Invalid',
      `The data directory ${dir.root} is the one of node "${identity.node}", not of "${wantedNode}"; start it with --node ${identity.node} or without --node, or give node "${wantedNode}" another --data-dir`,
    )
  const { uids } = await foldersOf(dir.pods)
  const refused = (what: string) => refusal(dir, store, uids.length, what)
  if (uids.length && elsewhere === undefined && !(await exists(store))) throw refused('is missing')
  return {
    admit: async (opened) => {
      const cluster = await clusterOf(opened)
      if (uids.length && cluster === undefined) throw refused('is empty')
      if (uids.length && identity && identity.cluster !== cluster)
        throw refused(`is of another cluster (${cluster}, not ${identity.cluster})`)
      return identity?.node ?? nodeBefore(dir, await nodesOf(opened), wantedNode, uids.length > 0)
    },
    keep: async (node, cluster) => {
      const now: Identity = { layout: currentLayout, node, cluster }
      if (identity?.node !== node || identity.cluster !== cluster)
        await writeFileAtomic(path, `${JSON.stringify(now)}\n`)
    },
  }
}

async function readIdentity(path: string): Promise<Identity | undefined> {
  const text = await readTextIfAny(path)
  if (text === undefined) return undefined
  const value = parsedJson(text)
  const identity = isObject(value) ? (value as unknown as Identity) : undefined
  if (identity && identity.layout > currentLayout)
    throw new Fault(
      'Invalid',
      `${path} is of a newer version of Patchbay (layout ${identity.layout}, this one knows ${currentLayout}); start that version`,
    )
  if (identity?.layout === currentLayout && identity.node && identity.cluster) return identity
  throw new Fault(
    'Invalid',
    `${path} is damaged; put it back, or remove it: it is written again by the store beside it`,
  )
}

/** The node of a directory without an identity: the store knows its nodes. */
function nodeBefore(dir: DataDir, nodes: readonly string[], wanted: string | undefined, hasSandboxes: boolean): string {
  const own = hostname().toLowerCase()
  const node = wanted ?? (nodes.length === 1 && !nodes.includes(own) ? nodes[0]! : own)
  if (!hasSandboxes || nodes.length === 0 || nodes.includes(node)) return node
  throw new Fault(
    'Invalid',
    `The data directory ${dir.root} has sandboxes of one of the nodes ${nodes.join(', ')}, not of "${node}"; start it with the --node they were made for`,
  )
}

async function clusterOf(store: Store): Promise<string | undefined> {
  const row = await store.get(storeKey(Namespace, { name: clusterNamespace }))
  return (row?.value as Partial<Namespace> | undefined)?.metadata?.uid
}

async function nodesOf(store: Store): Promise<string[]> {
  const { rows } = await store.list(storeKey(Node, { name: '' }))
  return rows.map(({ value }) => (value as unknown as Node).metadata.name)
}

function refusal(dir: DataDir, store: string, sandboxes: number, what: string): Fault {
  return new Fault(
    'Invalid',
    `The data directory ${dir.root} has ${sandboxes} ${sandboxes === 1 ? 'sandbox' : 'sandboxes'} with guests that may run, and its store ${store} ${what}; nothing was changed. Put the store of these guests back (or restore a backup of it), or stop them with: patchbay down --data-dir ${dir.root}, after which patchbay up starts afresh`,
  )
}
