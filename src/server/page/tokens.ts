import { randomUUID } from 'node:crypto'
import { isObject, isStrings, type Json } from '#base/json.ts'
import { issuer, type TokenReader } from '#machinery/rest/access/authenticate.ts'
import { Signer } from '#machinery/rest/access/signer.ts'
import type { User } from '#machinery/rest/strategy.ts'

/** An object that a session ends with: an account of its user, or what that signed in by. */
export type Tie = Readonly<{ kind: 'ServiceAccount' | 'Secret'; namespace: string; name: string; uid: string }>

/** A user at a page, until a time that no renewal moves. */
export type Session = Readonly<{ user: User; endMs: number; ties: readonly Tie[] }>

type Options = Readonly<{
  /** Private key of the curve P-256, PEM; the one of the tokens of ServiceAccounts will do. */
  key: string
  /** The uid of what a session is tied to; undefined when it is missing. */
  uidOf: (tie: Tie) => Promise<string | undefined>
  nowMs?: () => number
}>

/** What makes a page's token none of a ServiceAccount, though one key signs both. */
const audience = 'https://patchbay.dev/page'
const typ = 'patchbay-page+jwt'

/** Life of a token, milliseconds; a page that is open renews it. */
const tokenMs = 3_600_000

/** The tokens of pages: each says who its user is, and is that user to the server. */
export class PageTokens implements TokenReader {
  readonly #signer: Signer
  readonly #uidOf: Options['uidOf']
  readonly #nowMs: () => number

  constructor({ key, uidOf, nowMs = Date.now }: Options) {
    this.#signer = new Signer(key, { typ })
    this.#uidOf = uidOf
    this.#nowMs = nowMs
  }

  issue({ user, endMs, ties }: Session): Readonly<{ token: string; expiresMs: number }> {
    const now = Math.floor(this.#nowMs() / 1000)
    const exp = Math.floor(Math.min(now * 1000 + tokenMs, endMs) / 1000)
    const { name, groups, uid, extra } = user
    const own = { groups, ...(uid && { uid }), ...(extra && { extra }), endMs, ties }
    const times = { iat: now, nbf: now, exp }
    const token = this.#signer.signed({
      ...{ aud: [audience], iss: issuer, jti: randomUUID(), sub: name },
      ...times,
      'patchbay.dev': own,
    })
    return { token, expiresMs: exp * 1000 }
  }

  /** The session of a token; undefined for one that is not ours, too old, or of an account that is gone. */
  async sessionOf(token: string): Promise<Session | undefined> {
    const claims = this.#signer.verified(token)
    if (!claims || claims.iss !== issuer || !(Number(claims.exp) * 1000 > this.#nowMs())) return undefined
    const session = sessionIn(claims.sub, claims['patchbay.dev'])
    const uids = await Promise.all((session?.ties ?? []).map((tie) => this.#uidOf(tie)))
    return session?.ties.every(({ uid }, i) => uids[i] === uid) ? session : undefined
  }

  async userOf(token: string, wanted = issuer): Promise<User | undefined> {
    return wanted === issuer ? (await this.sessionOf(token))?.user : undefined
  }
}

/** A session as `issue` has written it. */
function sessionIn(name: Json | undefined, own: Json | undefined): Session | undefined {
  if (typeof name !== 'string' || !isObject(own)) return undefined
  const { groups, uid, extra, endMs, ties } = own
  if (!isStrings(groups) || typeof endMs !== 'number' || !Array.isArray(ties)) return undefined
  return {
    user: { name, groups, ...(typeof uid === 'string' && { uid }), ...(isObject(extra) && { extra: extraOf(extra) }) },
    endMs,
    ties: ties.filter(isObject).map(({ kind, namespace, name: of, uid: its }) => ({
      kind: kind === 'Secret' ? 'Secret' : 'ServiceAccount',
      ...{ namespace: String(namespace), name: String(of), uid: String(its) },
    })),
  }
}

function extraOf(extra: Readonly<Record<string, unknown>>): Record<string, readonly string[]> {
  return Object.fromEntries(Object.entries(extra).flatMap(([key, list]) => (isStrings(list) ? [[key, list]] : [])))
}
