import { eventually } from '../../src/base/wait.ts'

/** What a guest under emulation may take on a busy machine, milliseconds. */
const patienceMs = 120_000

/** Runs a shell line in a guest through its own agent and somebody's `virsh`; resolves to what it wrote. */
export async function runInGuest(
  virsh: (...args: readonly string[]) => Promise<string>,
  domain: string,
  line: string,
): Promise<string> {
  const agent = async (command: unknown) =>
    JSON.parse(await virsh('qemu-agent-command', domain, JSON.stringify(command))).return
  const { pid } = await agent({
    execute: 'guest-exec',
    arguments: { path: '/bin/sh', arg: ['-c', line], 'capture-output': true },
  })
  const done = await eventually(
    `the guest ${domain} runs ${line}`,
    async () => {
      const status = await agent({ execute: 'guest-exec-status', arguments: { pid } })
      return status.exited && status
    },
    { deadlineMs: patienceMs, everyMs: 20 },
  )
  return Buffer.from(done['out-data'] ?? '', 'base64')
    .toString()
    .trim()
}
