import { spawn, spawnSync } from 'node:child_process'
import { chmod, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { DataDir } from '#bin/data-dir.ts'

/** The oldest minor version these tests are written for; what is older words many things otherwise. */
const oldest = 28

/** Why tests with kubectl cannot run here; false when they can. */
export const noKubectl: string | false = whyNot()

function whyNot(): string | false {
  const minor = minorOf('kubectl')
  if (minor === undefined) return 'kubectl is not installed'
  return minor >= oldest ? false : `kubectl is 1.${minor}, and these tests are for 1.${oldest} and later`
}

/** Why tests of a command that only newer kubectls have cannot run here; false when they can. */
export function kubectlLacks(command: string): string | false {
  const { status, stdout } = spawnSync('kubectl', [...command.split(' '), '--help'], { encoding: 'utf8' })
  return status === 0 && stdout.includes(`kubectl ${command}`) ? false : `this kubectl has no ${command}`
}

/** Where `tools/setup.sh --with-kubectl` puts Debian's kubectl, which is the oldest there is to be had. */
const debians = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'patchbay/kubectl')

/** An old kubectl, or why there is none. */
export const oldKubectl: Readonly<{ program: string; lacks: string | false }> = {
  program: debians,
  lacks: minorOf(debians) === undefined && 'tools/setup.sh --with-kubectl has not fetched Debian’s',
}

/** The minor version of a kubectl; undefined when it does not run. */
function minorOf(program: string): number | undefined {
  const { error, stdout } = spawnSync(program, ['version', '--client', '-o', 'json'], { encoding: 'utf8' })
  return error ? undefined : Number(/"minor":\s*"(\d+)/.exec(stdout)?.[1])
}

export type Outcome = Readonly<{ code: number | null; out: string; err: string }>

type Options = Readonly<{ input?: unknown; env?: Record<string, string> }>

/** Longest time one call may take, milliseconds; it is killed then. */
const maxMs = 60_000

/** Stock kubectl against the cluster of a data directory, in a namespace. */
export class Kubectl {
  readonly #dir: DataDir
  readonly #namespace: string
  readonly #program: string

  constructor(dir: DataDir, namespace: string, program = 'kubectl') {
    this.#dir = dir
    this.#namespace = namespace
    this.#program = program
  }

  /** Runs kubectl to its end. */
  async run(args: readonly string[], { input, env = {} }: Options = {}): Promise<Outcome> {
    const child = this.#spawn(args, env)
    child.stdin.on('error', () => undefined)
    child.stdin.end(input === undefined ? '' : typeof input === 'string' ? input : JSON.stringify(input))
    let [out, err] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => resolve({ code, out, err }))
    })
  }

  /** What a call prints; it must succeed. */
  async ok(args: string, options: Options & { more?: readonly string[] } = {}): Promise<string> {
    const { code, out, err } = await this.run([...args.split(' '), ...(options.more ?? [])], options)
    if (code !== 0) throw new Error(`kubectl ${args}: exit ${code}: ${err}${out}`)
    return out
  }

  /** What a call that must fail with exit code 1 prints to standard error. */
  async fails(args: string, options: Options & { more?: readonly string[] } = {}): Promise<string> {
    const { code, out, err } = await this.run([...args.split(' '), ...(options.more ?? [])], options)
    if (code !== 1) throw new Error(`kubectl ${args}: exit ${code}, not 1: ${err}${out}`)
    return err
  }

  /** Starts a call that goes on until it is stopped. */
  start(args: string): { lines: string[]; stop(): Promise<void> } {
    const child = this.#spawn(args.split(' '), {})
    const lines: string[] = []
    let rest = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n')
      rest = parts.pop() ?? ''
      lines.push(...parts)
    })
    child.stderr.resume()
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
    const stop = () => {
      child.kill()
      return ended
    }
    return { lines, stop }
  }

  /** An editor for `kubectl edit` that runs a sed script over the file. */
  async editor(name: string, sed: string): Promise<string> {
    const path = join(this.#dir.root, name)
    await writeFile(path, `#!/bin/sh\nsed -i '${sed}' "$1"\n`)
    await chmod(path, 0o700)
    return path
  }

  #spawn(args: readonly string[], env: Record<string, string>) {
    return spawn(this.#program, ['--namespace', this.#namespace, ...args], {
      env: { PATH: process.env.PATH, HOME: this.#dir.root, KUBECONFIG: this.#dir.kubeconfig, ...env },
      timeout: maxMs,
      killSignal: 'SIGKILL',
    })
  }
}
