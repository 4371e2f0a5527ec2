import { realpath, stat } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import type { Command } from 'commander'
import { parseQuantity } from '#apis/meta/quantity.ts'
import { Fault } from '#base/fault.ts'
import type { UserRange } from '#core/sandbox/users.ts'
import type { AcceleratorChoice } from '#drivers/host/kvm.ts'
import { defaultLimits, type Limits } from '#machinery/http/limits.ts'
import type { TlsFiles } from '#server/pki.ts'

/** The option that every command on a data directory has. */
export const dataDirOption = [
  '--data-dir <dir>',
  'where everything is kept',
  process.env.PATCHBAY_DIR ?? '/var/lib/patchbay',
] as const

/** An option that is a number of seconds, in milliseconds. @throws Fault Invalid */
export function secondsOf(option: string, text: string): number {
  const seconds = Number(text)
  // Timers end at 2^31 ms.
  if (text.trim() === '' || !(seconds >= 0 && seconds <= 2_000_000))
    throw new Fault('Invalid', `${option} ${text} is no number of seconds between 0 and 2000000`)
  return seconds * 1000
}

/** An option that is a whole number above 0. @throws Fault Invalid */
export function countOf(option: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Fault('Invalid', `${option} ${text} is no whole number above 0`)
  return Number(text)
}

/** The networks of `--from`; none with `--off`. @throws Fault Invalid unless one of the two is given */
export function sourcesOf(from: string | undefined, isOff: boolean): readonly string[] {
  const names = from?.split(',').filter(Boolean) ?? []
  if (!names.length && !isOff)
    throw new Fault('Invalid', 'Give networks by --from NAD[,NAD], or end all copies by --off')
  return names
}

/** An option that is a number of bytes, such as 256Mi. @throws Fault Invalid */
export function bytesOption(option: string, text: string): number {
  const milli = parseQuantity(text)?.milli ?? 0n
  if (milli >= 1000n && milli % 1000n === 0n && milli <= 1000n * BigInt(Number.MAX_SAFE_INTEGER))
    return Number(milli / 1000n)
  throw new Fault('Invalid', `${option} ${text} is no number of bytes above 0, such as 256Mi`)
}

/** An option that names folders of this host, by their real paths. @throws Fault Invalid for one that is none */
export async function foldersOf(option: string, text: string): Promise<readonly string[]> {
  const folders = text.split(',').filter(Boolean)
  return Promise.all(
    folders.map(async (folder) => {
      const real = await realpath(folder).catch(() => undefined)
      if (real !== undefined && isAbsolute(folder) && (await stat(real)).isDirectory()) return real
      throw new Fault('Invalid', `${option} ${folder} is no folder of this host; give its whole path`)
    }),
  )
}

/** Shortest limit on the life of tokens, seconds (Kubernetes). */
const minTokenSeconds = 3600

/** An option that is the longest life of a token, in seconds. @throws Fault Invalid */
export function tokenLifeOf(option: string, text: string): number {
  const seconds = countOf(option, text)
  if (seconds < minTokenSeconds)
    throw new Fault('Invalid', `${option} ${text} is too short: give at least an hour (3600)`)
  return seconds
}

/** How guests run. @throws Fault Invalid for another word */
export function acceleratorOf(option: string, text: string): AcceleratorChoice {
  if (text === 'auto' || text === 'kvm' || text === 'tcg') return text
  throw new Fault('Invalid', `${option} ${text} is none of auto, kvm and tcg`)
}

/** An option that is a range of uids. @throws Fault Invalid */
export function userRangeOf(option: string, text: string): UserRange {
  const [, first, last] = /^(\d{1,10})-(\d{1,10})$/.exec(text) ?? []
  const range = { first: Number(first), last: Number(last) }
  // Lower uids are the host's own users, and the last two stand for no user.
  if (first && last && range.first >= 1000 && range.last <= 4_294_967_293 && range.last > range.first) return range
  throw new Fault('Invalid', `${option} ${text} is no range FIRST-LAST of uids from 1000 to 4294967293`)
}

/** The operator's own server certificate, if given. @throws Fault Invalid for half of it */
export function tlsFilesOf(
  options: Readonly<{ tlsCertFile?: string; tlsPrivateKeyFile?: string }>,
): TlsFiles | undefined {
  const { tlsCertFile: certFile, tlsPrivateKeyFile: keyFile } = options
  if (certFile === undefined && keyFile === undefined) return undefined
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile }
  throw new Fault('Invalid', '--tls-cert-file and --tls-private-key-file belong together: give both')
}

type LimitOption = Readonly<{
  limit: keyof Limits
  flag: string
  unit: 'count' | 'percent' | 'bytes' | 'seconds'
  words: string
}>

/** The options of `patchbay up` that limit clients; docs/limits.md lists them. */
export const limitOptions: readonly LimitOption[] = [
  { limit: 'connections', flag: '--max-connections', unit: 'count', words: 'open connections' },
  {
    limit: 'maxRequestsInflight',
    flag: '--max-requests-inflight',
    unit: 'count',
    words: 'requests under way at once, watches apart',
  },
  { limit: 'watches', flag: '--max-watches', unit: 'count', words: 'watches open at once' },
  {
    limit: 'http2MaxStreamsPerConnection',
    flag: '--http2-max-streams-per-connection',
    unit: 'count',
    words: 'streams open at once on one HTTP/2 connection',
  },
  {
    limit: 'userShare',
    flag: '--user-share',
    unit: 'percent',
    words: 'of connections, requests, watches and memory for one user; administrators and nodes have no such bound',
  },
  { limit: 'requestBytes', flag: '--max-request-bytes', unit: 'bytes', words: 'size of a request body' },
  { limit: 'headerBytes', flag: '--max-header-bytes', unit: 'bytes', words: 'size of the header of a request' },
  {
    limit: 'bodyMemoryBytes',
    flag: '--max-body-memory',
    unit: 'bytes',
    words: 'memory for request bodies of all clients together',
  },
  {
    limit: 'answerMemoryBytes',
    flag: '--max-answer-memory',
    unit: 'bytes',
    words: 'memory for answers that slow clients have not read yet',
  },
  {
    limit: 'requestTimeoutMs',
    flag: '--request-timeout',
    unit: 'seconds',
    words: 'time for a request to arrive, for its answer to be made, and for a reader to take what is sent',
  },
  {
    limit: 'headerTimeoutMs',
    flag: '--header-timeout',
    unit: 'seconds',
    words: 'time for the TLS handshake, and for the header of a request to arrive',
  },
  {
    limit: 'idleTimeoutMs',
    flag: '--idle-timeout',
    unit: 'seconds',
    words: 'time a connection of a signed-in user may be open with no request on it',
  },
]

/** A limit's default as its option takes it. */
export function limitText({ limit, unit }: LimitOption): string {
  return String(unit === 'seconds' ? defaultLimits[limit] / 1000 : defaultLimits[limit])
}

/** Adds the options of all limits to a command. */
export function addLimitOptions(command: Command): Command {
  for (const option of limitOptions)
    command.option(`${option.flag} <${option.unit}>`, `most ${option.words}`, limitText(option))
  return command
}

/** The limits in a command's options. @throws Fault Invalid */
export function limitsOf(command: Command): Limits {
  const limits: Record<string, number> = {}
  for (const { limit, flag, unit } of limitOptions) {
    const text = String(command.getOptionValue(flag.slice(2).replace(/-(\w)/g, (_, letter) => letter.toUpperCase())))
    limits[limit] = unit === 'seconds' ? secondsOf(flag, text) : countOf(flag, text)
  }
  return limits as Limits
}
