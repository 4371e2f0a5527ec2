import { explain } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import { ExitError, type Print } from './context.ts'

/** Shared by all virtctl commands: paths, bodies, and errors. */

/** The path of a KubeVirt subresource. */
export function pathOf(namespace: string, plural: string, name: string, verb: string): string {
  const [where, which] = [namespace, name].map(encodeURIComponent)
  return `/apis/subresources.kubevirt.io/v1/namespaces/${where}/${plural}/${which}/${verb}`
}

/** The body of a call; a dry run is noted first. */
export function bodyOf(print: Print, dryRun: boolean): JsonObject {
  if (!dryRun) return {}
  print.line('Dry Run execution')
  return { dryRun: ['All'] }
}

/** Runs a call; an error is printed behind virtctl's prefix. @throws ExitError */
export async function orEnd<T>(prefix: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new ExitError(1, `${prefix}${explain(error)}`)
  }
}
