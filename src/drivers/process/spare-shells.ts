import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import type { Socket } from 'node:net'

/** Starts a program in a process group of its own, with this environment alone, and pipes to it. */
export type Spawn = (
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
) => ChildProcessWithoutNullStreams

/** How long nothing is started before shells are started again, milliseconds: while a guest waits, nothing else runs. */
const restMs = 200

/**
 * What a shell does: its first line of input is what it becomes, and the rest is that program's input, of which `read` takes
 * nothing. `n` is an end of line, which that line itself cannot have.
 */
const script = `n='\n'; IFS= read -r line && eval "$line"`

/**
 * A few shells that are there already, each of which becomes the next program. To start a process the kernel copies the page
 * tables of the one that asks, which holds a server up for 2 to 5 ms each time; a shell that waits needs none of that, and is
 * replaced once no program is waited for. It ends when its input does, so also when this process is killed.
 */
export class SpareShells {
  readonly #count: number
  readonly #spares: ChildProcessWithoutNullStreams[] = []
  #refill: NodeJS.Timeout | undefined
  #isClosed = false

  /** `count` is how many wait at a time. The first is started after the first program. */
  constructor(count: number) {
    this.#count = count
  }

  /** Has a spare shell become a program, or starts it if there is none. */
  readonly spawn: Spawn = (program, args, env) => {
    const spare = this.#take()
    this.#plan()
    if (!spare) return spawn(program, args, { env, stdio: 'pipe', detached: true })
    hold(spare, true)
    spare.stdin.write(`${lineFor(program, args, env)}\n`)
    return spare
  }

  /** Ends the shells that wait, and starts none any more. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#refill)
    for (const spare of this.#spares.splice(0)) spare.stdin.end()
  }

  #take(): ChildProcessWithoutNullStreams | undefined {
    for (let spare = this.#spares.shift(); spare; spare = this.#spares.shift())
      if (spare.exitCode === null && spare.signalCode === null && spare.pid !== undefined) return spare
    return undefined
  }

  /** Starts those that are missing, one at a time, once nothing was started for a while. */
  #plan(): void {
    clearTimeout(this.#refill)
    if (this.#isClosed || this.#spares.length >= this.#count) return
    this.#refill = setTimeout(() => {
      this.#spares.push(waiting())
      this.#plan()
    }, restMs).unref()
  }
}

/** A shell that waits, for which this process does not. */
function waiting(): ChildProcessWithoutNullStreams {
  const shell = spawn('sh', ['-c', script], { env: {}, stdio: 'pipe', detached: true })
  shell.on('error', () => undefined) // it has no pid then, and is not taken
  shell.stdin.on('error', () => undefined) // it ended while it waited
  hold(shell, false)
  return shell
}

/** Whether this process goes on for as long as a shell does. */
function hold(shell: ChildProcessWithoutNullStreams, isHeld: boolean): void {
  for (const one of [shell, shell.stdin, shell.stdout, shell.stderr] as (ChildProcessWithoutNullStreams | Socket)[])
    if (isHeld) one.ref()
    else one.unref()
}

/** The line by which a shell becomes a program. */
function lineFor(program: string, args: readonly string[], env: Readonly<Record<string, string | undefined>>): string {
  const variables = Object.entries(env).flatMap(([name, value]) =>
    value !== undefined && /^[A-Za-z_]\w*$/.test(name) ? [`${name}=${quoted(value)}`] : [],
  )
  const exported = variables.length ? `export ${variables.join(' ')}; ` : ''
  return `${exported}exec ${[program, ...args].map(quoted).join(' ')}`
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`).replaceAll('\n', `'"$n"'`)}'`
}
