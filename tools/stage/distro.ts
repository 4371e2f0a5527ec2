import { eventually } from '../../src/base/wait.ts'
import { distroImage } from './distro-manifests.ts'
import { patience } from './patience.ts'
import { must, program } from './program.ts'
import { root, type Stage } from './stage.ts'

/** What a guest of a whole distribution may take to boot and to be set up by cloud-init under emulation, milliseconds. */
export const bootMs = 300_000 * patience

/** Builds the Debian guest, if it is not there as this version makes it, and resolves to its image (tools/distro). */
export async function buildDistro(): Promise<string> {
  return (await must('sh', [`${root}/tools/distro/build.sh`], { timeoutMs: 900_000 })).trim().split('\n').at(-1) ?? ''
}

/** Gives a stage the Debian guest, under its own name. */
export async function provideDistro(stage: Stage): Promise<void> {
  await must(`${root}/patchbay`, ['image', 'import', distroImage, await buildDistro(), '--data-dir', stage.dir])
}

/** A key pair for SSH: the private key in a file of the stage, and the public one as authorized_keys has it. */
export async function sshKey(stage: Stage): Promise<Readonly<{ file: string; publicKey: string }>> {
  const file = `${stage.dir}/ssh-key`
  await must('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', file])
  return { file, publicKey: (await must('cat', [`${file}.pub`])).trim() }
}

/** How often cloud-init has done all that it does in a guest, as the console of its machine says, which a move leaves behind. */
export async function timesSetUp(stage: Stage, vm: string): Promise<number> {
  return [...(await stage.readSandbox(vm, 'run/console.log')).matchAll(/Cloud-init v.* finished/g)].length
}

/**
 * Waits until cloud-init has done all that it does in a guest for so many times. A guest that is asked over SSH again and again
 * would spend more of its processor on answers than on its start.
 */
export async function isSetUp(stage: Stage, vm: string, times = 1): Promise<void> {
  const isDone = async () => (await timesSetUp(stage, vm)) >= times
  await eventually(`${vm} is set up`, isDone, { deadlineMs: bootMs, everyMs: 200 })
}

/** Runs a shell line in a guest over SSH, through the API, as its owner would. */
export async function overSsh(stage: Stage, vm: string, key: string, line: string): Promise<string> {
  const options = [
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'LogLevel=ERROR',
    'ConnectTimeout=30',
    // A guest that is reset does not end its connections.
    'ServerAliveInterval=5',
    'ServerAliveCountMax=3',
    'BatchMode=yes',
  ]
  // With all that it starts: ssh has a proxy.
  const { code, stdout, stderr } = await program(
    'timeout',
    [
      ...['100', `${root}/patchbay`],
      ...['ssh', `debian@vm/${vm}`, '--kubeconfig', stage.kubeconfig, '-i', key, '-c', line],
      ...options.flatMap((option) => ['-t', `-o ${option}`]),
    ],
    { timeoutMs: 120_000, input: '' },
  )
  if (code !== 0) throw new Error(`ssh to ${vm} ended with ${code}: ${stderr || stdout}`)
  return stdout.trim()
}
