import { Type } from 'typebox'
import { loose, type Of, oneOf } from '../meta/schema.ts'

const port = Type.Unsafe<string | number>({
  'x-kubernetes-int-or-string': true,
  description: 'Number of the port, or the name of a port of an interface.',
})

/** A health check of a guest; exactly one kind of check must be set (KubeVirt's Probe). */
export const probeSchema = Type.Object(
  {
    tcpSocket: Type.Optional(
      Type.Object({ port, host: Type.Optional(Type.String()) }, { description: 'A TCP connection can be opened.' }),
    ),
    httpGet: Type.Optional(
      Type.Object(
        {
          port,
          path: Type.Optional(Type.String()),
          host: Type.Optional(Type.String()),
          scheme: Type.Optional(oneOf(['HTTP', 'HTTPS'])),
          httpHeaders: Type.Optional(Type.Array(Type.Object({ name: Type.String(), value: Type.String() }))),
        },
        { description: 'An HTTP GET is answered with a status from 200 to 399.' },
      ),
    ),
    exec: Type.Optional(
      Type.Object({ command: Type.Array(Type.String()) }, { description: 'A command in the guest exits with 0.' }),
    ),
    guestAgentPing: Type.Optional(loose('The guest agent answers.')),
    initialDelaySeconds: Type.Optional(Type.Integer({ description: 'Wait after the start; 0 when absent.' })),
    timeoutSeconds: Type.Optional(Type.Integer({ description: 'Time a check may take; 1 when absent.' })),
    periodSeconds: Type.Optional(Type.Integer({ description: 'Time between checks; 10 when absent.' })),
    successThreshold: Type.Optional(
      Type.Integer({ description: 'Successes in a row after a failure until it counts as well; 1 when absent.' }),
    ),
    failureThreshold: Type.Optional(
      Type.Integer({ description: 'Failures in a row until it counts as ill; 3 when absent.' }),
    ),
  },
  { description: 'A periodic check of the guest.' },
)
export type ProbeSpec = Of<typeof probeSchema>

/** The fields of a probe for each kind of check. */
export const probeChecks = ['tcpSocket', 'httpGet', 'exec', 'guestAgentPing'] as const
