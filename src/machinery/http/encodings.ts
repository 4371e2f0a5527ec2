import type { IncomingHttpHeaders } from 'node:http'

/** Whether a client takes content in a coding, such as `gzip` or `br` (Accept-Encoding). */
export function accepts(headers: IncomingHttpHeaders, coding: string): boolean {
  return String(headers['accept-encoding'] ?? '')
    .split(',')
    .map((one) => one.replaceAll(/\s/g, '').toLowerCase())
    .some((one) => {
      const [name, weight = 'q=1'] = one.split(';')
      return name === coding && /^q=(1|0\.\d*[1-9])/.test(weight)
    })
}
