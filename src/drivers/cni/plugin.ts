import { spawn } from 'node:child_process'
import { Fault } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import type { Spawn } from '../process/spare-shells.ts'
import { hintFor } from './hints.ts'
import { ownerVariable } from './orphaned-plugins.ts'

export type PluginCall = Readonly<{
  /** Path of the executable. */
  program: string
  /** Its name, for messages. */
  type: string
  network: string
  command: 'ADD' | 'DEL' | 'VERSION'
  containerId: string
  netns: string
  ifName: string
  path: string
  /** CNI_ARGS: the runtime's fields about the pod. */
  args: Readonly<Record<string, string>>
  /** Its owner, see endOrphanedPlugins. */
  owner: string
  config: JsonObject
  /** Prefix of the command; tests run plugins in a network namespace by it. */
  wrap?: readonly string[]
  /** Starts it in another way than Node's. */
  spawn?: Spawn
  timeoutMs: number
  signal: AbortSignal
}>

/** Most output a plugin may write, bytes. */
const maxOutput = 1024 * 1024

/** Most characters of each part of its error: it is stored with every guest of the network. */
const maxSaid = 1000

/** How a plugin ended, and what it wrote. */
type Ended = Readonly<{ code: number | null; out: string; err: string }>

/**
 * Runs one plugin once; resolves to the result of ADD, the versions of VERSION, or an empty object for DEL.
 * @throws Fault Unavailable with the plugin's error (data: plugin, code, msg, details), Timeout, Aborted
 */
export async function callPlugin(call: PluginCall): Promise<JsonObject> {
  const { type, command, network } = call
  const what = `CNI plugin "${type}" of network "${network}" (${command})`
  const { code, out, err } = await run(call, what)
  const answer = parse(out)
  if (code !== 0) throw pluginFailure(what, call, code, answer, out, err)
  if (command === 'DEL') return {}
  if (isObject(answer)) return answer
  const garbled = `${what} succeeded, but its answer is no JSON object: ${out.slice(0, 100)}`
  throw new Fault('Unavailable', garbled, { data: { plugin: type } })
}

function environmentOf(call: PluginCall): Readonly<Record<string, string>> {
  return {
    PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifName,
    CNI_PATH: call.path,
    CNI_ARGS: Object.entries(call.args)
      .map(([name, value]) => `${name}=${value}`)
      .join(';'),
    [ownerVariable]: call.owner,
  }
}

const spawnDetached: Spawn = (program, args, env) => spawn(program, args, { env, stdio: 'pipe', detached: true })

/** @throws Fault Unavailable when it cannot be run or writes too much, Timeout, Aborted; it is killed then */
function run(call: PluginCall, what: string): Promise<Ended> {
  const { program, wrap = [], timeoutMs, signal } = call
  const data = { plugin: call.type }
  const [file = program, ...args] = [...wrap, program]
  return new Promise((resolve, reject) => {
    const interrupted = () => new Fault('Aborted', `${what} was interrupted`, { cause: signal.reason })
    if (signal.aborted) return reject(interrupted())
    // A process group of its own, so that its children are killed with it.
    const child = (call.spawn ?? spawnDetached)(file, args, environmentOf(call))
    const stop = (fault: Fault) => {
      kill(child.pid)
      fail(fault)
    }
    const late = `${what} did not end within ${timeoutMs / 1000} s and was killed; see what it waits for, or correct the network's config`
    const timer = setTimeout(() => stop(new Fault('Timeout', late, { data })), timeoutMs)
    const abort = () => stop(interrupted())
    signal.addEventListener('abort', abort, { once: true })
    const [out, err]: [Buffer[], Buffer[]] = [[], []]
    let size = 0
    const collect = (into: Buffer[]) => (chunk: Buffer) => {
      size += chunk.length
      if (size > maxOutput) stop(new Fault('Unavailable', `${what} wrote more than ${maxOutput} bytes`, { data }))
      else into.push(chunk)
    }
    child.stdout.on('data', collect(out))
    child.stderr.on('data', collect(err))
    child.stdin.on('error', () => undefined) // a plugin that does not read its input says why by its exit code
    child.on('error', (cause) => fail(new Fault('Unavailable', `${what} cannot be run`, { cause, data })))
    child.on('close', (code) => {
      settle()
      resolve({ code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() })
    })
    child.stdin.end(JSON.stringify(call.config))

    function fail(fault: Fault): void {
      settle()
      reject(fault)
    }
    function settle(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    }
  })
}

/** Kills a plugin and its children. */
function kill(pid: number | undefined): void {
  try {
    if (pid) process.kill(-pid, 'SIGKILL')
  } catch {
    // It ended in the meantime.
  }
}

function pluginFailure(
  what: string,
  { type: plugin, config }: PluginCall,
  code: number | null,
  answer: unknown,
  text: string,
  err: string,
): Fault {
  const said = isObject(answer) ? answer : {}
  const msg =
    typeof said.msg === 'string'
      ? said.msg.slice(0, maxSaid)
      : (err || text).trim().slice(0, 300) || `exit code ${code}`
  const details = typeof said.details === 'string' && said.details ? `; ${said.details.slice(0, maxSaid)}` : ''
  return new Fault('Unavailable', `${what} failed: ${msg}${details}${hintFor(plugin, msg, config)}`, {
    data: { plugin, code: said.code ?? code, msg, details: said.details },
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
