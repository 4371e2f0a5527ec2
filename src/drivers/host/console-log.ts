import { join } from 'node:path'
import { readTextIfAny } from '#base/file.ts'

/**
 * What is kept of the output of a guest's serial console: a MiB at most, which the sandbox writes in two files (sandbox.sh). Empty
 * for a sandbox without a console, or one that is gone.
 */
export async function readConsoleLog(sandbox: string): Promise<string> {
  const of = (name: string) => readTextIfAny(join(sandbox, 'run', name))
  // The newer file becomes the older one between two reads at most once.
  const [older = '', newer = ''] = [await of('console.log.1'), await of('console.log')]
  return older + newer
}
