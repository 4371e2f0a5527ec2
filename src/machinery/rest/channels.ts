import type { Kind } from '#apis/meta/object.ts'
import type { ByteStream } from '../http/websocket.ts'
import type { ActionCall } from './actions.ts'
import { type ResourcePath, segmentsOf } from './path.ts'

/** A call of a channel. */
export type ChannelCall = Pick<ActionCall, 'namespace' | 'name' | 'query' | 'user'> &
  Readonly<{
    /** What follows the subresource in the path. */
    args: readonly string[]
    /** Aborts when the client leaves before the channel is open, and when the channel is over. */
    signal: AbortSignal
  }>

/**
 * A subresource that is a stream of bytes over a WebSocket, such as a console. A refusal of `run` is answered before the
 * connection is upgraded, so that clients can show it.
 */
export type Channel = Readonly<{
  at: Pick<Kind, 'group' | 'version' | 'plural'>
  subresource: string
  /** Most segments of the path after the subresource; rights do not depend on them. None unless given. */
  maxArgs?: number
  /** The kind of the object it is about, for discovery. */
  kind: string
  /** The WebSocket subprotocol that is chosen if a client offers it. */
  protocol: string
  /** @throws Fault */
  run(call: ChannelCall): Promise<ByteStream>
}>

/** What `deepPath` has to know of actions and channels. */
type Deep = Pick<Channel, 'at' | 'subresource' | 'maxArgs'>

/** The channel behind a path. */
export function findChannel(channels: readonly Channel[], path: ResourcePath): Channel | undefined {
  return channels.find(
    ({ at, subresource, maxArgs = 0 }) =>
      isAt(at, path) &&
      path.namespace !== undefined &&
      subresource === path.subresource &&
      (path.args?.length ?? 0) <= maxArgs,
  )
}

/**
 * A path that goes deeper than a subresource, if one of those known is there: `vnc/screenshot` is a subresource of its own (RBAC
 * names it so), and what follows `portforward` are arguments. @throws Fault BadRequest for escapes that do not decode
 */
export function deepPath(known: readonly Deep[], path: string): ResourcePath | undefined {
  const [root, group, version, word, namespace, plural, name, ...rest] = segmentsOf(path)
  if (root !== 'apis' || word !== 'namespaces' || rest.length < 2) return undefined
  if (group === undefined || version === undefined || plural === undefined) return undefined
  const where = { group, version, plural, namespace, name }
  for (const { at, subresource, maxArgs = 0 } of known) {
    if (!isAt(at, where)) continue
    const own = subresource.split('/')
    const isIt = own.every((one, i) => one === rest[i]) && rest.length - own.length <= maxArgs
    if (isIt) return { ...where, namespace, name, subresource, args: rest.slice(own.length) } as ResourcePath
  }
  return undefined
}

function isAt(at: Deep['at'], { group, version, plural }: Deep['at']): boolean {
  return at.group === group && at.version === version && at.plural === plural
}
