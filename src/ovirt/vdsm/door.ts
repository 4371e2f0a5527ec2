import { randomUUID } from 'node:crypto'
import { explain } from '#base/fault.ts'
import type { Json, JsonObject } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import type { Limits } from '#machinery/http/limits.ts'
import type { StreamConnection } from '#machinery/http/stream-listener.ts'
import { anonymous, authenticate } from '#machinery/rest/access/authenticate.ts'
import { callerOf } from '#machinery/rest/access/caller.ts'
import type { Account, Acting, Gateway } from '../engine/call.ts'
import type { AuditedWrite } from '../engine/door.ts'
import type { Queues } from '../engine/queues.ts'
import { accountOf } from '../engine/sign-in/accounts.ts'
import { World } from '../engine/world.ts'
import { failureOf, protocol, RpcError } from './errors.ts'
import { methods } from './methods.ts'
import { answerBody } from './rpc.ts'
import { Session } from './session.ts'

export type VdsmOptions = Readonly<{
  gateway: Gateway
  /** Shared with the other doors that change VMs. */
  queues: Queues
  /** Writes a line to the audit log of the server about a write: who, what, and how it was answered. */
  audit: (line: AuditedWrite) => void
  limits: Limits
  log: Log
}>

type Serving = VdsmOptions & Readonly<{ stopping: AbortSignal }>

/**
 * vdsm's API over the same VMs: who has a certificate of our authority changes cards by it, as far as their roles allow. `stop`
 * ends what it waits for.
 */
export function vdsmDoor(options: VdsmOptions): Readonly<{ serve(connection: StreamConnection): void; stop(): void }> {
  const stopping = new AbortController()
  const serving: Serving = { ...options, stopping: stopping.signal }
  return { serve: (connection) => void serve(serving, connection), stop: () => stopping.abort() }
}

/** A connection is one user's: it ends with the certificate that it began with. */
async function serve(serving: Serving, connection: StreamConnection): Promise<void> {
  const { socket } = connection
  const user = await authenticate({ socket, headers: {} }, [])
  // A certificate without a name.
  if (user === anonymous) return void socket.destroy()
  const address = socket.remoteAddress ?? ''
  const account = accountOf(user)
  const { limits, log } = serving
  const answer = (body: string, id: string | undefined) => {
    const correlationId = id?.slice(0, 64) || randomUUID()
    return answerBody(body, (method, params) => run(serving, { account, address, correlationId }, method, params))
  }
  new Session({ connection, caller: callerOf(user, address), limits, answer, log }).start()
}

type Sender = Readonly<{ account: Account; address: string; correlationId: string }>

/** @throws RpcError */
async function run(serving: Serving, sender: Sender, name: string, params: JsonObject): Promise<Json> {
  const method = methods.get(name)
  if (!method) throw new RpcError(protocol.method, name)
  const { account, address, correlationId } = sender
  const { gateway, queues, stopping, log } = serving
  const client = gateway.clientOf(account.user)
  const world = new World(client, gateway.own)
  const acting: Acting = { account, client, gateway, world, correlationId, queues, signal: stopping }
  let code = 500
  try {
    const result = await method.run(acting, params)
    code = 200
    return result
  } catch (error) {
    const known = failureOf(error, protocol.internal)
    if (known instanceof RpcError) code = 400
    else {
      const stack = error instanceof Error ? error.stack : undefined
      log.error({ method: name, cause: explain(error), stack }, 'Request of the VDSM door failed by a bug')
    }
    throw known
  } finally {
    const line = {
      id: correlationId,
      method: 'POST',
      path: `/vdsm/${name}`,
      code,
      address,
      userAgent: undefined,
      account,
    }
    if (method.isWrite) serving.audit(line)
  }
}
