import { Fault } from '#base/fault.ts'
import { isObject, type JsonObject, parsedJson } from '#base/json.ts'
import { timestamp } from '#base/time.ts'
import type { Entered, Exchange } from '#machinery/http/exchange.ts'
import { Attempts } from '#machinery/rest/access/attempts.ts'
import type { AuditRecord } from '#machinery/rest/access/audit.ts'
import { anonymous, authenticate, credentialEndMs, usedToken } from '#machinery/rest/access/authenticate.ts'
import { callerOf } from '#machinery/rest/access/caller.ts'
import { audited, type Guard } from '#machinery/rest/access/guard.ts'
import { claimsIn } from '#machinery/rest/access/signer.ts'
import type { User } from '#machinery/rest/strategy.ts'
import { Codes } from './codes.ts'
import type { PageTokens, Session, Tie } from './tokens.ts'

type Options = Readonly<{
  guard: Pick<Guard, 'tokens' | 'audit'>
  tokens: PageTokens
  /** Finds what a user of a name, who is no ServiceAccount, has an account by. */
  accountOf: (name: string) => Promise<Tie | undefined>
  nowMs?: () => number
}>

/** Longest time from signing in to signing in again, milliseconds. */
const sessionMs = 12 * 3_600_000
/** Longest body, bytes: a code is 43 letters. */
const maxBody = 4096
/** What failed attempts are counted for, beside the address: there is no user yet. */
const codeUser = 'code of a page'

/** Where a page signs in. */
export const codePath = '/ui/session/code'
export const sessionPath = '/ui/session'
export const renewPath = '/ui/session/renew'

/**
 * Signs a page in. Its user asks for a code with credentials that no browser has, the page redeems it: a session then lasts no
 * longer than these credentials, and no longer than a day's work.
 */
export class SignIn {
  readonly #options: Options
  readonly #codes: Codes<Session>
  readonly #attempts: Attempts
  readonly #nowMs: () => number

  constructor(options: Options) {
    this.#options = options
    this.#nowMs = options.nowMs ?? Date.now
    this.#codes = new Codes(this.#nowMs)
    this.#attempts = new Attempts(this.#nowMs)
  }

  /** The answer to a POST to one of the paths. @throws Fault */
  async answer(exchange: Exchange, record: AuditRecord): Promise<JsonObject> {
    exchange.requireSmallHeader()
    const { path } = exchange
    const work = () =>
      path === codePath
        ? this.#code(exchange, record)
        : path === renewPath
          ? this.#renew(exchange, record)
          : this.#redeem(exchange, record)
    const { body } = await audited(this.#options.guard, { exchange, query: {} }, record, async () => ({
      code: 201,
      body: await work(),
    }))
    return body
  }

  async #code(exchange: Exchange, record: AuditRecord): Promise<JsonObject> {
    const { guard, tokens } = this.#options
    const user = await authenticate(exchange, guard.tokens)
    record.sender = user
    if (user === anonymous)
      throw new Fault('Unauthorized', 'Unauthorized: a code is for users with a client certificate or a token')
    if (Object.keys(exchange.headers).some((name) => name.startsWith('impersonate-')))
      throw new Fault('Forbidden', 'a page is opened by its own user: it is not opened by way of impersonation')
    return exchange.enter(callerOf(user, exchange.address), 'requests', async (entered) => {
      await smallBody(exchange, entered)
      const token = usedToken(exchange, this.#nowMs())
      const before = token === undefined ? undefined : await tokens.sessionOf(token)
      const { code, endMs } = this.#codes.issue(user.name, before ?? (await this.#sessionOf(exchange, user, token)))
      return { code, expiresAt: timestamp(endMs) }
    })
  }

  /** A session that ends with the credentials of a request. Its time begins when the code is redeemed. */
  async #sessionOf(exchange: Exchange, user: User, token: string | undefined): Promise<Session> {
    const endMs = credentialEndMs(exchange, this.#nowMs()) ?? Number.POSITIVE_INFINITY
    const [, namespace = '', name = ''] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user.name) ?? []
    if (!namespace || user.uid === undefined) {
      const account = await this.#options.accountOf(user.name)
      return { user, endMs, ties: account ? [account] : [] }
    }
    const ties: Tie[] = [{ kind: 'ServiceAccount', namespace, name, uid: user.uid }]
    const secret = secretOf(token)
    return { user, endMs, ties: secret ? [...ties, { kind: 'Secret', namespace, ...secret }] : ties }
  }

  async #redeem(exchange: Exchange, record: AuditRecord): Promise<JsonObject> {
    const { address } = exchange
    const wait = this.#attempts.waitSeconds(codeUser, address)
    if (wait)
      throw new Fault('TooMany', `too many wrong codes from this address; try again in ${wait} seconds`, {
        data: { retryAfterSeconds: wait },
      })
    return exchange.enter(callerOf(anonymous, address), 'requests', async (entered) => {
      const input = parsedJson((await smallBody(exchange, entered)).toString())
      const code = isObject(input) ? input.code : undefined
      if (typeof code !== 'string')
        throw new Fault('BadRequest', 'what signs a page in is JSON with the code: {"code":"…"}')
      const session = this.#codes.redeem(code)
      if (!session) {
        this.#attempts.failed(codeUser, address)
        throw new Fault(
          'NotFound',
          'there is no such code: each works once and for a minute; get another one with patchbay page',
        )
      }
      this.#attempts.succeeded(codeUser, address)
      record.sender = session.user
      return this.#begun({ ...session, endMs: Math.min(session.endMs, this.#nowMs() + sessionMs) })
    })
  }

  async #renew(exchange: Exchange, record: AuditRecord): Promise<JsonObject> {
    const { authorization = '' } = exchange.headers
    const [, token = ''] = /^bearer +(\S+) *$/i.exec(authorization) ?? []
    const session = await this.#options.tokens.sessionOf(token)
    if (!session)
      throw new Fault('Unauthorized', 'Unauthorized: only the token of a page that is signed in can be renewed')
    record.sender = session.user
    return exchange.enter(callerOf(session.user, exchange.address), 'requests', async (entered) => {
      await smallBody(exchange, entered)
      return this.#begun(session)
    })
  }

  #begun(session: Session): JsonObject {
    const { token, expiresMs } = this.#options.tokens.issue(session)
    return { token, expirationTimestamp: timestamp(expiresMs), user: session.user.name }
  }
}

/** @throws Fault TooLarge */
async function smallBody({ headers }: Exchange, entered: Entered): Promise<Buffer> {
  const tooLarge = () => new Fault('TooLarge', `the body of the request is larger than ${maxBody} bytes`)
  if (Number(headers['content-length'] ?? 0) > maxBody) throw tooLarge()
  const body = await entered.body()
  if (body.length > maxBody) throw tooLarge()
  return body
}

/** The Secret that a token of a ServiceAccount is kept in, if it is. */
function secretOf(token: string | undefined): Readonly<{ name: string; uid: string }> | undefined {
  const own = claimsIn(token ?? '')?.['kubernetes.io']
  const secret = isObject(own) ? own.secret : undefined
  if (!isObject(secret)) return undefined
  const { name, uid } = secret
  return typeof name === 'string' && typeof uid === 'string' ? { name, uid } : undefined
}
