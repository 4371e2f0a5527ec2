import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

/** What became of a program: its exit code (128 + n after a signal), what it wrote, and how long it took in milliseconds. */
export type Outcome = Readonly<{ code: number; stdout: string; stderr: string; ms: number }>

/** Runs a program to its end; a failure is an outcome, not an error. */
export function program(
  file: string,
  args: readonly string[],
  { input, env, timeoutMs = 120_000 }: { input?: string; env?: Record<string, string>; timeoutMs?: number } = {},
): Promise<Outcome> {
  const start = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: 'pipe',
      env: { ...process.env, ...env },
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    let stderr = ''
    // A character may come in two pieces.
    child.stdout.setEncoding('utf8')
    child.stderr.setEncoding('utf8')
    child.stdout.on('data', (chunk: string) => {
      stdout += chunk
    })
    child.stderr.on('data', (chunk: string) => {
      stderr += chunk
    })
    child.stdin.on('error', () => undefined) // it may end without reading
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? 137, stdout, stderr, ms: performance.now() - start }))
    child.stdin.end(input)
  })
}

/** Runs a program that must succeed and gives what it wrote. @throws Error with what it complained about */
export async function must(
  file: string,
  args: readonly string[],
  options: Parameters<typeof program>[2] = {},
): Promise<string> {
  const { code, stdout, stderr } = await program(file, args, options)
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} exited with ${code}: ${(stderr || stdout).trim()}`)
  return stdout
}

/** Kills a program that was started, and waits until it is gone; one that has ended already, or never began, is left. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}
