import type { IncomingHttpHeaders } from 'node:http'

/** A host and port as a source of a policy can be written; anything else that a client sends is not repeated. */
const plainHost = /^([\w.-]{1,253}|\[[\da-f:.]{2,45}\])(:\d{1,5})?$/i

/** What every answer of the page says, so that a browser runs and loads nothing of others, and shows it in no frame. */
export function pageHeaders(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
  const host = String(headers[':authority'] ?? headers.host ?? '')
  // Older browsers do not take 'self' for WebSockets of the same server.
  const sockets = plainHost.test(host) ? ` wss://${host}` : ''
  return {
    'content-security-policy': [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data: blob:",
      "font-src 'self'",
      `connect-src 'self'${sockets}`,
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'none'",
    ].join('; '),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
  }
}
