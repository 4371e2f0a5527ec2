import { clientContract } from '#kit/machinery/client/contract.ts'
import { LocalClient } from './local-client.ts'

clientContract(
  'client in the server',
  async (_, registry) => new LocalClient(registry, { user: { name: 'test', groups: [] }, manager: 'test' }),
)
