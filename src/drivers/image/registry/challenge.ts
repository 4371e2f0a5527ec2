/** What a registry wants to see (RFC 9110, section 11.6.1), with lower-case names of parameters. */
export type Challenge = Readonly<{ scheme: string; parameters: ReadonlyMap<string, string> }>

/** Longest header that is looked at. */
const maxLength = 8192

const token = "[!#$%&'*+.^_`|~\\w-]+"
const parameterPattern = new RegExp(`^(${token})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|(${token}))`)
const schemePattern = new RegExp(`^(${token})(?:[ \\t]+|,|$)`)

/** Parses a `WWW-Authenticate` header; what cannot be understood ends it. */
export function parseChallenges(header: string): readonly Challenge[] {
  const found: { scheme: string; parameters: Map<string, string> }[] = []
  let rest = header.slice(0, maxLength)
  for (;;) {
    rest = rest.replace(/^[\s,]+/, '')
    const parameter = parameterPattern.exec(rest)
    const last = found.at(-1)
    if (parameter && last) {
      const [whole, name = '', quoted, plain = ''] = parameter
      last.parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain)
      rest = rest.slice(whole.length)
      continue
    }
    const [whole, scheme] = schemePattern.exec(rest) ?? []
    if (whole === undefined || scheme === undefined) return found
    found.push({ scheme: scheme.toLowerCase(), parameters: new Map() })
    rest = rest.slice(whole.length)
  }
}
