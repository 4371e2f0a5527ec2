import { explain } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import { ExitError, type Print } from './context.ts'

/** What every command that virtctl has too shares: paths, bodies, and how it ends when it is refused. */

/** Where a verb of KubeVirt is. */
export function pathOf(namespace: string, plural: string, name: string, verb: string): string {
  const [where, which] = [namespace, name].map(encodeURIComponent)
  return `/apis/subresources.kubevirt.io/v1/namespaces/${where}/${plural}/${which}/${verb}`
}

/** The body of a call; that of a dry run is told first. */
export function bodyOf(print: Print, dryRun: boolean): JsonObject {
  if (!dryRun) return {}
  print.line('Dry Run execution')
  return { dryRun: ['All'] }
}

/** Does something; what goes wrong is told behind virtctl's words. @throws ExitError */
export async function orEnd<T>(prefix: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new ExitError(1, `${prefix}${explain(error)}`)
  }
}
