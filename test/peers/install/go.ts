import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { must, program } from '../../../tools/stage/program.ts'
import { cannotInstall, provide } from './cache.ts'

/** A go command and the environment it is to be run in. */
export type Go = Readonly<{ program: string; env: Readonly<Record<string, string>> }>

/** The suite of Debian whose go is taken where the machine's will not do. */
const suite = 'trixie'

/** Longest download of packages or lists, milliseconds. */
const downloadMs = 500_000

/** No toolchain is downloaded by go itself, and no C compiler is needed. */
const env = { GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly', CGO_ENABLED: '0' }

/**
 * A go that builds a module: the machine's, or Debian's newest, unpacked and not installed, where there is none or it is
 * older than the module asks for.
 * @throws Error that names the peer and says why no go can be had
 */
export async function provideGo(peer: string, module: string): Promise<Go> {
  const wanted = versionIn(/^go (\S+)$/m, await readFile(join(module, 'go.mod'), 'utf8'))
  const own: Go = { program: 'go', env }
  if (isAtLeast(await versionOf(own), wanted)) return own
  const debians = await debianGo(peer)
  const version = await versionOf(debians)
  if (isAtLeast(version, wanted)) return debians
  const why = `its module wants go ${wanted.join('.')}; this machine has no such, and Debian ${suite}’s is ${version.join('.')}`
  throw cannotInstall(peer, why)
}

async function debianGo(peer: string): Promise<Go> {
  const folder = await provide(`go-for-${peer}`, [suite], async (folder) => {
    const scratch = join(folder, 'apt')
    await mkdir(scratch)
    await unpackPackages(scratch, join(folder, 'root'))
    const [goroot] = (await readdir(join(folder, 'root/usr/lib'))).filter((name) => name.startsWith('go-'))
    if (!goroot) throw new Error(`Debian ${suite}'s golang-go has no /usr/lib/go-*`)
    await rename(join(folder, 'root/usr/lib', goroot), join(folder, 'root/usr/lib/go'))
    await rm(scratch, { recursive: true })
  })
  const goroot = join(folder, 'root/usr/lib/go')
  return { program: join(goroot, 'bin/go'), env: { ...env, GOROOT: goroot } }
}

/** Unpacks the packages of the suite's go into `root`, by an apt that knows of this suite only and of nothing installed. */
async function unpackPackages(scratch: string, root: string): Promise<void> {
  // A Debian may have several sources; those of security updates have no whole release.
  const targets = await must('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'])
  const mirror = targets.split('\n').find((line) => line && !line.includes('security'))
  if (!mirror) throw new Error('apt has no source on this machine')
  await mkdir(join(scratch, 'lists/partial'), { recursive: true })
  await writeFile(join(scratch, 'status'), '')
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
  await writeFile(join(scratch, 'sources.list'), `deb [signed-by=${keyring}] ${mirror} ${suite} main\n`)
  const options = [
    `Dir::Etc::sourcelist=${scratch}/sources.list`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${scratch}/lists`,
    `Dir::State::status=${scratch}/status`,
    `Dir::Cache=${scratch}/cache`,
    // As root apt would download as a user of its own, who cannot write here.
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option])
  await must('apt-get', ['-qq', ...options, 'update'], { timeoutMs: downloadMs })
  const depends = await must('apt-cache', [...options, 'depends', 'golang-go'])
  const newest = /Depends: (golang-[\d.]+)-go$/m.exec(depends)?.[1]
  if (!newest) throw new Error(`Debian ${suite}'s golang-go depends on no version of go`)
  const names = [`${newest}-go`, `${newest}-src`]
  // Into the folder apt-get is run in, so that a shell goes there.
  const download = 'cd "$1" && shift && exec apt-get -qq "$@"'
  await must('sh', ['-c', download, 'sh', scratch, ...options, 'download', ...names], { timeoutMs: downloadMs })
  for (const file of (await readdir(scratch)).filter((name) => name.endsWith('.deb')))
    await must('dpkg-deb', ['-x', join(scratch, file), root])
}

/** Numbers of a version; none when the program does not run. */
async function versionOf(go: Go): Promise<readonly number[]> {
  const { stdout } = await program('/bin/sh', ['-c', 'exec "$1" env GOVERSION', 'sh', go.program], { env: go.env })
  return versionIn(/^go(\S+)/, stdout)
}

function versionIn(pattern: RegExp, text: string): readonly number[] {
  return (pattern.exec(text)?.[1] ?? '').split('.').map((part) => Number.parseInt(part, 10) || 0)
}

function isAtLeast(version: readonly number[], wanted: readonly number[]): boolean {
  const [major = 0, minor = 0, patch = 0] = version
  const [wantedMajor = 0, wantedMinor = 0, wantedPatch = 0] = wanted
  return (major - wantedMajor || minor - wantedMinor || patch - wantedPatch) >= 0
}
