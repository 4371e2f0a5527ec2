import { Pod } from '#apis/core/pod.ts'
import { Fault } from '#base/fault.ts'
import { logPart, partOf } from '#core/vm/pod-log.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Action } from '#machinery/rest/actions.ts'
import { notFound } from '#machinery/rest/status.ts'

/** What answers for a log: the server's own client, and the console of a sandbox by its pod's UID. */
type LogContext = Readonly<{ client: Client; consoleOf: (uid: string) => Promise<string> }>

/** `kubectl logs` of a launcher pod: what is kept of the output of its guest's serial console. */
export function podLog({ client, consoleOf }: LogContext): Action {
  return {
    at: Pod,
    subresource: 'log',
    method: 'GET',
    kind: Pod.kind,
    run: async ({ namespace, name, query }) => {
      const pod = await client.get(Pod, { namespace, name })
      if (!pod) throw notFound(Pod, name)
      const part = logPart(name, query)
      if ('refuse' in part) throw new Fault('BadRequest', part.refuse)
      return { code: 200, text: partOf(await consoleOf(pod.metadata.uid), part) }
    },
  }
}
