import { Fault } from '#base/fault.ts'
import type { Answer } from '../http/exchange.ts'
import { textAnswer } from './json-answer.ts'
import { flag, type Query } from './request.ts'

/** What keeps the server from serving well, one line each; none when it is ready. */
export type Unready = () => readonly string[]

type Check = Readonly<{ name: string; problems: readonly string[] }>

/**
 * `/healthz`, `/livez` and `/readyz` with the checks below them (`/livez/ping`), as the Kubernetes API server answers them: `ok`,
 * or a line for each check that failed, and with `verbose` for every check. `exclude` leaves a check out. Undefined for
 * other paths. @throws Fault NotFound for a check that does not exist
 */
export function healthAt(path: string, query: Query, unready: Unready): Answer | undefined {
  const [, at = '', name = '', more] = path.split('/')
  if (!['healthz', 'livez', 'readyz'].includes(at) || more !== undefined) return undefined
  const ping: Check = { name: 'ping', problems: [] }
  const all = at === 'readyz' ? [ping, { name: 'store', problems: unready() }] : [ping]
  const checks = all.filter((check) => (name ? check.name === name : check.name !== query.exclude))
  if (name && !checks.length) throw new Fault('NotFound', `there is no check ${name} at /${at}`)
  const failed = checks.flatMap(({ problems }) => problems.map((problem) => `[-]${problem}\n`))
  const code = failed.length ? 503 : 200
  if (!flag(query.verbose)) return textAnswer(code, failed.join('') || 'ok')
  const passed = checks.filter(({ problems }) => !problems.length).map((check) => `[+]${check.name} ok\n`)
  return textAnswer(code, `${[...passed, ...failed].join('')}${at} check ${failed.length ? 'failed' : 'passed'}\n`)
}
