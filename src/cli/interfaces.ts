import type { JsonObject } from '#base/json.ts'
import type { Context } from './context.ts'
import { orEnd, pathOf } from './virtctl.ts'

/** `addinterface` of virtctl 1.0, which prints nothing on success. @throws ExitError */
export function addInterface(
  context: Context,
  vm: string,
  { name, networkAttachmentDefinitionName }: Readonly<{ name: string; networkAttachmentDefinitionName: string }>,
): Promise<void> {
  return change(context, vm, 'addinterface', { networkAttachmentDefinitionName, name })
}

/** `removeinterface` of virtctl 1.0, which prints nothing on success. @throws ExitError */
export function removeInterface(context: Context, vm: string, name: string): Promise<void> {
  return change(context, vm, 'removeinterface', { name })
}

async function change({ client, namespace }: Context, vm: string, verb: string, body: JsonObject): Promise<void> {
  await orEnd('', () => client.call('PUT', pathOf(namespace, 'virtualmachines', vm, verb), body))
}
