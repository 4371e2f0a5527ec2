/** Most bytes of all warnings of one answer: clients refuse answers whose headers are too large. */
const maxBytes = 4096
/** Most of them: Python's http.client refuses answers with more than a hundred headers. */
const maxHeaders = 80

/** The values of an answer's Warning headers (RFC 7234 §5.5). What does not fit is counted. */
export function warningHeaders(texts: readonly string[]): string[] {
  const headers: string[] = []
  let bytes = 0
  for (const [i, text] of texts.entries()) {
    const header = `299 - ${quoted(text)}`
    bytes += header.length
    if (bytes > maxBytes || (i === maxHeaders - 1 && texts.length > maxHeaders))
      return [...headers, `299 - "${texts.length - i} more warnings"`]
    headers.push(header)
  }
  return headers
}

/** A quoted string with no control characters; Node takes a header as bytes, so UTF-8 has to be spelled out. */
function quoted(text: string): string {
  const plain = text.replace(/[\u0000-\u001f\u007f]/g, ' ').replace(/["\\]/g, '\\$&')
  return `"${Buffer.from(plain, 'utf8').toString('latin1')}"`
}
