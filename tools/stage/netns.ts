import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { must, program } from './program.ts'

/**
 * Runs a command inside a network namespace made for it, and removes the namespace afterwards whatever happened: nothing is
 * created beside the host's own interfaces. Resolves to the command's exit code.
 */
export async function inOwnNetns(command: readonly string[], env: Record<string, string> = {}): Promise<number> {
  const name = `pb-${randomBytes(4).toString('hex')}`
  await must('ip', ['netns', 'add', name])
  const forward = (signal: NodeJS.Signals) => child?.kill(signal)
  let child: ReturnType<typeof spawn> | undefined
  const stages = await mkdtemp('/tmp/pb-stages-')
  process.on('SIGINT', forward)
  process.on('SIGTERM', forward)
  try {
    await must('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
    return await new Promise<number>((resolve, reject) => {
      child = spawn('nsenter', [`--net=/run/netns/${name}`, ...command], {
        stdio: 'inherit',
        env: { ...process.env, ...env, PATCHBAY_NETNS: name, PATCHBAY_STAGES: stages },
      })
      child.on('error', reject)
      child.on('close', (code) => resolve(code ?? 1))
    })
  } finally {
    process.off('SIGINT', forward)
    process.off('SIGTERM', forward)
    await clearStages(name, stages)
    await program('ip', ['netns', 'delete', name])
    await rm(stages, { recursive: true, force: true })
  }
}

/** Takes down what a command that died left on its stages: their data directories are written down in `folder`. */
async function clearStages(netns: string, folder: string): Promise<void> {
  for (const stage of await readdir(folder)) {
    console.log(`Clearing up ${stage}, which was left behind`)
    const dir = `/tmp/${stage}`
    const pid = Number(await readFile(`${dir}/patchbay.pid`, 'utf8').catch(() => ''))
    if (pid) await program('kill', ['-9', String(pid)])
    const launcher = fileURLToPath(new URL('../../patchbay', import.meta.url))
    const { code, stderr } = await program('nsenter', [
      `--net=/run/netns/${netns}`,
      launcher,
      'down',
      '--data-dir',
      dir,
      '--timeout',
      '0',
    ])
    if (code !== 0) console.error(stderr)
    else {
      // To remove what is mounted there would remove it where it comes from, too.
      for (const mount of mountsBelow(dir, await readFile('/proc/self/mountinfo', 'utf8')))
        await program('umount', [mount])
      await rm(dir, { recursive: true, force: true })
    }
  }
}

/** Where anything is mounted in a folder, what was mounted last first. */
export function mountsBelow(dir: string, mountinfo: string): string[] {
  const points = mountinfo.split('\n').map((line) => line.split(' ')[4] ?? '')
  return points.filter((point) => point.startsWith(`${dir}/`)).toReversed()
}
