import { createHash } from 'node:crypto'
import { Fault } from '#base/fault.ts'
import type { User } from '../strategy.ts'
import { issuer, type TokenReader } from './authenticate.ts'

/**
 * Reads the token file of kube-apiserver: lines of `token,user,uid[,"group1,group2"]`; of a token that comes twice the last
 * line counts. @throws Fault Invalid naming the line that is wrong, never the token
 */
export function staticTokens(text: string): TokenReader {
  const users = new Map<string, User>()
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (!line.trim() || line.startsWith('#')) continue
    const [token, name, uid, groups = ''] = cells(line)
    if (!token || !name || uid === undefined)
      throw new Fault('Invalid', `Line ${i + 1} of the token file is not token,user,uid[,"group1,group2"]`)
    const list = groups.split(',').map((group) => group.trim())
    users.set(digest(token), { name, ...(uid && { uid }), groups: list.filter(Boolean) })
  }
  // Found by digest: how long a look-up takes says nothing about the token.
  return { userOf: async (token, audience = issuer) => (audience === issuer ? users.get(digest(token)) : undefined) }
}

function digest(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

/** The cells of a line of comma separated values, as RFC 4180 quotes them. */
function cells(line: string): string[] {
  const found = line.matchAll(/(?:^|,) *(?:"((?:[^"]|"")*)"|([^,]*))/g)
  return [...found].map(([, quoted, plain = '']) =>
    quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"'),
  )
}
