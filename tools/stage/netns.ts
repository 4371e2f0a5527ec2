import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
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
  process.on('SIGINT', forward)
  process.on('SIGTERM', forward)
  try {
    await must('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
    return await new Promise<number>((resolve, reject) => {
      child = spawn('nsenter', [`--net=/run/netns/${name}`, ...command], {
        stdio: 'inherit',
        env: { ...process.env, ...env, PATCHBAY_NETNS: name },
      })
      child.on('error', reject)
      child.on('close', (code) => resolve(code ?? 1))
    })
  } finally {
    process.off('SIGINT', forward)
    process.off('SIGTERM', forward)
    await program('ip', ['netns', 'delete', name])
  }
}
