import type { JsonObject } from '#base/json.ts'
import type { Client, Key } from '#machinery/client/client.ts'
import type { User } from '#machinery/rest/strategy.ts'
import type { Named } from '../wire/document.ts'
import type { Input } from '../wire/read.ts'
import type { Entry } from './audit.ts'
import type { Queues } from './queues.ts'
import type { World } from './world.ts'

/** The verbs of VMs that the engine calls, as KubeVirt's subresources of virtualmachines. */
export type Verb = 'start' | 'stop' | 'restart' | 'migrate'

/** The Kubernetes API as the door uses it: the door has no state of its own. */
export type Gateway = Readonly<{
  /** The server's own client: for names of what a user's objects refer to, and for the audit log. */
  own: Client
  /** A client in the name of a user, whose every request is decided by their rights. */
  clientOf(user: User): Client
  /** Writes an entry of the audit log. Never fails: what was done stays done, and an entry that cannot be written is logged. */
  note(entry: Entry): Promise<void>
  /** Calls a verb of a VM in the name of a user. @throws Fault Forbidden, NotFound, Conflict … */
  act(user: User, verb: Verb, vm: Required<Key>, input: Readonly<Record<string, unknown>>): Promise<void>
  /** The traffic of a guest, read in the name of a user; undefined while there is none. @throws Fault Forbidden */
  traffic(user: User, vm: Required<Key>, signal: AbortSignal): Promise<JsonObject | undefined>
}>

/** Who signed in: `name` is as oVirt shows it, `NAME@internal`. */
export type Account = Readonly<{ user: User; name: string }>

/** Who does something, and with what: all that a change of a VM needs, whichever door it comes through. */
export type Acting = Readonly<{
  account: Account
  /** In the name of the user. */
  client: Client
  gateway: Gateway
  world: World
  /** Given by the client, or made for it; entries of the audit log carry it. */
  correlationId: string
  /** Those of all doors: one change of a VM runs at a time. */
  queues: Queues
  /** Aborts when nobody waits any more. */
  signal: AbortSignal
}>

/** A request that was let in, and what answers to it are made from. */
export type Call = Acting &
  Readonly<{
    /** The variable parts of its path, by name. */
    params: Readonly<Record<string, string>>
    query: Readonly<Record<string, string>>
    input: Input
  }>

/** What is answered; without a document the answer has no body. */
export type Reply = Readonly<{ code: number; named?: Named; headers?: Readonly<Record<string, string>> }>

/** Answers with a document. */
export function ok(root: string, doc: Named['doc'], code = 200): Reply {
  return { code, named: { root, doc } }
}

/** What was created, with its address. */
export function created(root: string, doc: Named['doc']): Reply {
  const { href } = doc
  return { ...ok(root, doc, 201), ...(typeof href === 'string' && { headers: { location: href } }) }
}

/** The answer to actions and deletions. */
export function complete(): Reply {
  return ok('action', { status: 'complete' })
}
