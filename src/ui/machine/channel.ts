import { bearerProtocol } from '../api/session.ts'
import type { Machine } from '../model/machine.ts'

/** KubeVirt's framing: raw bytes in binary messages. */
const plain = 'plain.kubevirt.io'

/** Address of a stream of an instance. */
function channelUrl({ namespace, name }: Machine, what: 'console' | 'vnc'): string {
  const path = `/apis/subresources.kubevirt.io/v1/namespaces/${encodeURIComponent(namespace)}/virtualmachineinstances/${encodeURIComponent(name)}/${what}`
  return `wss://${location.host}${path}`
}

/** Opens a stream of an instance. The token goes by the sub-protocol, never by the address. */
export function openChannel(machine: Machine, what: 'console' | 'vnc'): WebSocket {
  const socket = new WebSocket(channelUrl(machine, what), [plain, bearerProtocol()])
  socket.binaryType = 'arraybuffer'
  return socket
}
