import { isObject, type Json } from '#base/json.ts'
import { version } from '#base/version.ts'
import type { HttpClient } from '#machinery/client/http-client.ts'
import type { Print } from './context.ts'

const client = {
  gitVersion: `v${version}`,
  gitTreeState: 'clean',
  compiler: 'node',
  platform: `${process.platform}/${process.arch}`,
}

/** Prints versions as virtctl does; `connect` is undefined for the client's version alone. */
export async function printVersion(print: Print, connect: (() => Promise<HttpClient>) | undefined): Promise<void> {
  print.line(`Client Version: ${infoText(client)}`)
  if (!connect) return
  const server = await (await connect()).call('GET', '/version')
  print.line(`Server Version: ${infoText(server)}`)
}

/** A version as Go prints the struct, which is what virtctl shows. */
function infoText(info: Json | undefined): string {
  const fields = ['gitVersion', 'gitCommit', 'gitTreeState', 'buildDate', 'goVersion', 'compiler', 'platform']
  const text = (field: string) => JSON.stringify(String((isObject(info) && info[field]) || ''))
  return `version.Info{${fields.map((field) => `${field[0]!.toUpperCase()}${field.slice(1)}:${text(field)}`).join(', ')}}`
}
