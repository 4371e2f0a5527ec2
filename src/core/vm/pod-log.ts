/** What of a log is asked for: the query of `pods/NAME/log`, as Kubernetes has it (PodLogOptions). */
export type LogQuery = Readonly<Record<string, string | readonly string[] | undefined>>

/** Which part of a log is answered. */
export type LogPart = Readonly<{ tailLines?: number; limitBytes?: number }>

/** The container that the log of a launcher pod is of, as KubeVirt calls it. */
const container = 'compute'

/** Why what is kept of a console cannot answer some options. */
const notKept: Readonly<Record<string, string>> = {
  follow: 'the log is not followed; leave out -f (follow), and ask again for what came since',
  timestamps: 'no times are kept with the output of a console; leave out timestamps',
  sinceSeconds: 'no times are kept with the output of a console; use --tail (tailLines)',
  sinceTime: 'no times are kept with the output of a console; use --tail (tailLines)',
}

/** The part of a log that a query asks for, or why it cannot be answered (400). */
export function logPart(pod: string, query: LogQuery): LogPart | Readonly<{ refuse: string }> {
  const { container: wanted = container, previous, tailLines, limitBytes } = query
  if (wanted !== '' && wanted !== container)
    return { refuse: `container ${String(wanted)} is not valid for pod ${pod}` }
  if (isSet(previous)) return { refuse: `previous terminated container "${container}" in pod "${pod}" not found` }
  for (const [name, why] of Object.entries(notKept)) if (isSet(query[name])) return { refuse: why }
  const part: { tailLines?: number; limitBytes?: number } = {}
  for (const [name, text, least] of [
    ['tailLines', tailLines, 0],
    ['limitBytes', limitBytes, 1],
  ] as const) {
    if (text === undefined || text === '') continue
    const value = Number(text)
    if (!Number.isInteger(value) || value < least)
      return { refuse: `${name}: Invalid value: ${JSON.stringify(text)}: must be a whole number of at least ${least}` }
    part[name] = value
  }
  return part
}

/** That part of a text; `limitBytes` counts from its beginning, as Kubernetes does. */
export function partOf(text: string, { tailLines, limitBytes }: LogPart): string {
  const lines = text.split('\n')
  const isEnded = lines.at(-1) === ''
  const from = tailLines === undefined ? 0 : Math.max(0, lines.length - (isEnded ? 1 : 0) - tailLines)
  const tail = lines.slice(from).join('\n')
  if (limitBytes === undefined) return tail
  return new TextDecoder().decode(new TextEncoder().encode(tail).subarray(0, limitBytes))
}

function isSet(value: LogQuery[string]): boolean {
  return value !== undefined && value !== '' && value !== 'false' && value !== '0'
}
