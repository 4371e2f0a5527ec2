import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { must, program } from '../../../tools/stage/program.ts'
import { cannotInstall, provide } from './cache.ts'

/** A first installation downloads everything, milliseconds. */
const installMs = 500_000

/** A peer of Python packages: where it is, and the interpreter that imports them. */
export type PythonPeer = Readonly<{ folder: string; python: string }>

/** What a peer needs besides its packages, put into its folder. */
type More = Readonly<{
  madeOf: string
  make(folder: string, python: string): Promise<unknown>
  /** Packages that are built here, because nobody releases them built. */
  fromSource?: readonly string[]
}>

/**
 * A virtual environment with the packages of a requirements file and no others: the file names them all, dependencies too.
 * @throws Error that names the peer and says why it cannot be installed
 */
export async function providePython(peer: string, requirements: string, more?: More): Promise<PythonPeer> {
  const { stdout: version } = await program('/bin/sh', ['-c', 'python3 --version'])
  if (!version) throw cannotInstall(peer, 'there is no python3; install Debian’s python3 and python3-venv')
  const madeOf = [version, await readFile(requirements, 'utf8'), ...(more ? [more.madeOf] : [])]
  const folder = await provide(peer, madeOf, async (folder) => {
    const python = pythonIn(folder)
    await must('python3', ['-m', 'venv', folder])
    const built = (more?.fromSource ?? []).flatMap((name) => ['--no-binary', name])
    await pip(python, 'install', '--no-deps', '--only-binary', ':all:', ...built, '--requirement', requirements)
    await pip(python, 'check')
    await more?.make(folder, python)
  })
  // By its module and not by a script of `bin`: those name the folder that the environment was made in.
  return { folder, python: pythonIn(folder) }
}

/** Runs pip of a virtual environment. */
export function pip(python: string, ...args: readonly string[]): Promise<string> {
  return must(python, ['-m', 'pip', '--quiet', '--disable-pip-version-check', ...args], { timeoutMs: installMs })
}

const unzipping = `
import sys, zipfile
source, folder, *prefixes = sys.argv[1:]
with zipfile.ZipFile(source) as archive:
    archive.extractall(folder, [name for name in archive.namelist() if name.startswith(tuple(prefixes))])
`

/** Extracts the files of a ZIP archive whose names begin with one of `prefixes`. */
export function unzip(python: string, archive: string, folder: string, prefixes: readonly string[]): Promise<string> {
  return must(python, ['-c', unzipping, archive, folder, ...prefixes])
}

const pythonIn = (folder: string) => join(folder, 'bin', 'python')
