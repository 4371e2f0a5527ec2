/** Names of headers that decide how a download is transported, or belong to one connection. */
const own: ReadonlySet<string> = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'if-range',
  'keep-alive',
  'range',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** A header as CDI has it in a line, `Name: value`, with its name in lower case; undefined for what is none that may be added. */
export function parseHeader(line: string): readonly [name: string, value: string] | undefined {
  const [, name = '', value = ''] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)\s*$/.exec(line) ?? []
  const key = name.toLowerCase()
  return key && !own.has(key) ? [key, value] : undefined
}
