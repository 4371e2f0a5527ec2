import { must } from './program.ts'
import { root } from './stage.ts'

/** The folder with the files of a package of Debian's, which is fetched and not installed (tools/unpacked.sh). */
export async function unpacked(name: string): Promise<string> {
  return (await must('sh', [`${root}/tools/unpacked.sh`, name], { timeoutMs: 500_000 })).trim()
}
