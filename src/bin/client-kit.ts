import type { Command } from 'commander'
import { explain } from '#base/fault.ts'
import { version } from '#base/version.ts'
import { type Context, ExitError, type Print } from '#cli/context.ts'
import type { Choice } from '#cli/kubeconfig.ts'
import type { StreamContext } from '#cli/streams.ts'

/** To the terminal. */
export const print: Print = { line: (text) => console.log(text), note: (text) => console.error(text) }

/** The options that select a server, as kubectl has them. */
export function asClient(command: Command): Command {
  return command
    .option('--kubeconfig <file>', 'the kubeconfig to use, instead of KUBECONFIG')
    .option('--context <name>', 'the context of the kubeconfig to use')
    .option('-n, --namespace <namespace>', 'the namespace, instead of that of the context')
}

/** Runs a command with a client of the selected server. */
export async function withClient(choice: Choice, work: (context: Context) => Promise<void>): Promise<void> {
  const [{ findTarget }, { Connection }, { HttpClient }, { HttpsTransport }] = await Promise.all([
    import('#cli/kubeconfig.ts'),
    import('#machinery/client/connection.ts'),
    import('#machinery/client/http-client.ts'),
    import('#machinery/client-node/https.ts'),
  ])
  const { endpoint, namespace } = await findTarget(choice)
  using transport = new HttpsTransport(endpoint)
  const connection = new Connection(transport, `patchbay/${version}`)
  await work({ client: new HttpClient(connection), namespace, print })
}

/** As asVirtctl, for commands that open channels. */
export async function withStreams(choice: Choice, work: (context: StreamContext) => Promise<void>): Promise<void> {
  await asVirtctl(choice, async (context) => {
    const [{ findTarget }, { Channels }] = await Promise.all([
      import('#cli/kubeconfig.ts'),
      import('#machinery/client-node/channels.ts'),
    ])
    const { endpoint } = await findTarget(choice)
    await work({ ...context, channels: new Channels(endpoint, `patchbay/${version}`) })
  })
}

/** As withClient; errors are printed as virtctl prints them: no text before the error, and exit code 1. */
export async function asVirtctl(choice: Choice, work: (context: Context) => Promise<void>): Promise<void> {
  try {
    await withClient(choice, work)
  } catch (error) {
    throw error instanceof ExitError ? error : new ExitError(1, explain(error))
  }
}
