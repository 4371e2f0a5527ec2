import { Fault } from '#base/fault.ts'
import { isObject } from '#base/json.ts'
import type { Context } from './context.ts'

/** Opens an address in a browser; resolves to whether there was one. */
type OpenBrowser = (url: string) => Promise<boolean>

/**
 * Opens the page of a server, or prints its address without `open`, signed in as the user of the kubeconfig. The code is behind `#`:
 * no server, proxy or log gets it with the address. @throws Fault
 */
export async function openPage({ client, print }: Context, open: OpenBrowser | undefined): Promise<void> {
  const { server } = client
  const answer = await client.call('POST', '/ui/session/code', {})
  const { code, expiresAt } = isObject(answer) ? answer : {}
  if (typeof code !== 'string') throw new Fault('Internal', `The server at ${server} sent no code to sign in with`)
  const url = `${server.replace(/\/+$/, '')}/#code=${code}`
  if (await open?.(url)) return print.line(`The page of ${server} opens in a browser`)
  if (open) print.note('There is no browser to open; open this address in one')
  print.line(url)
  print.note(`It signs in once, until ${String(expiresAt)}`)
}
