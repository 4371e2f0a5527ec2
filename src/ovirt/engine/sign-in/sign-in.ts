import { Fault } from '#base/fault.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Answer, Exchange } from '#machinery/http/exchange.ts'
import type { Caller } from '#machinery/http/shares.ts'
import { Attempts } from '#machinery/rest/access/attempts.ts'
import type { TokenReader } from '#machinery/rest/access/authenticate.ts'
import type { Account } from '../call.ts'
import { accountOf, bearerOf, signIn } from './accounts.ts'
import { type Credential, Sessions, sessionMs } from './sessions.ts'

const tokenPath = '/ovirt-engine/sso/oauth/token'
const logoutPath = '/ovirt-engine/services/sso-logout'
/** What access tokens are good for. */
const scope = 'ovirt-app-api'

/** Who sends a request; without an account it is to be refused with 401 and the headers. */
type Admitted = Readonly<{ account?: Account; headers: Readonly<Record<string, string>> }>

/** Signing in and out, as oVirt's SSO and REST API have it (facts/ovirt.md §1.5, facts/ovirt-clients.md §2). */
export class SignIn {
  readonly #sessions = new Sessions()
  readonly #attempts = new Attempts()
  readonly #tokens: readonly TokenReader[]
  readonly #check: ReturnType<typeof signIn>

  constructor(own: Client, tokens: readonly TokenReader[]) {
    this.#tokens = tokens
    this.#check = signIn(own, tokens)
  }

  /** The answer to a request for a token, or to sign out; undefined for other requests. */
  async answer(exchange: Exchange): Promise<Answer | undefined> {
    const { path, method } = exchange
    if (path !== tokenPath && path !== logoutPath) return undefined
    if (method !== 'POST') return { code: 405, type: '', body: '', headers: { allow: 'POST' } }
    const form = await exchange.enter(addressCaller(exchange), 'requests', async (entered) => {
      return new URLSearchParams((await entered.body()).toString())
    })
    if (path === tokenPath) return this.#token(exchange, form)
    this.#sessions.end(form.get('token') ?? '')
    return json(200, {})
  }

  async #token(exchange: Exchange, form: URLSearchParams): Promise<Answer> {
    if (!exchange.headers.accept?.includes('application/json'))
      return refused('invalid_request', 'Missing or invalid value for HTTP header "Accept"')
    const grant = form.get('grant_type')
    if (grant !== 'password') return refused('unsupported_grant_type', `Unsupported grant type: ${grant ?? ''}`)
    const login = form.get('username') ?? ''
    const wait = this.#attempts.waitSeconds(login, exchange.address)
    if (wait) return refused('access_denied', tooOften(wait))
    const credential = await this.#tried(exchange, login, form.get('password') ?? '')
    if (!credential) return refused('access_denied', refusalText(login))
    const { secret, endMs } = this.#sessions.begin(credential)
    // Milliseconds, as text: clients take seconds for a time long past (facts/ovirt-clients.md §2).
    return json(200, {
      access_token: secret,
      scope: `${scope} ovirt-app-admin ovirt-app-portal`,
      exp: String(endMs),
      token_type: 'bearer',
    })
  }

  /** Who sends a request to the API: by access token, by password, or by the cookie of a session. */
  async admit(exchange: Exchange): Promise<Admitted> {
    const { authorization = '', prefer, cookie } = exchange.headers
    const [, bearer] = /^bearer +(\S+) *$/i.exec(authorization) ?? []
    if (bearer !== undefined)
      return this.#known((await this.#sessions.accountOf(bearer)) ?? (await this.#bearer(bearer)))
    const wantsSession = /persistent-auth/i.test(String(prefer ?? ''))
    const [, session] = /(?:^|;\s*)JSESSIONID=([^;\s]+)/.exec(cookie ?? '') ?? []
    const bySession = session === undefined ? undefined : await this.#sessions.accountOf(session)
    if (bySession) return this.#known(bySession)
    const [, basic] = /^basic +(\S+) *$/i.exec(authorization) ?? []
    if (basic === undefined) return this.#known(undefined)
    const credential = await this.#basic(exchange, basic)
    if (!credential || !wantsSession) return this.#known(credential?.account)
    const { secret } = this.#sessions.begin(credential, lifeOf(exchange))
    const set = `JSESSIONID=${secret}; Path=/ovirt-engine/api; Secure; HttpOnly; SameSite=Strict`
    return { account: credential.account, headers: { 'set-cookie': set } }
  }

  #known(account: Account | undefined): Admitted {
    if (account) return { account, headers: {} }
    return { headers: { 'www-authenticate': 'Basic realm="RESTAPI"' } }
  }

  /** A token of Patchbay's itself. */
  async #bearer(token: string): Promise<Account | undefined> {
    const user = await bearerOf(this.#tokens, token)
    return user && accountOf(user)
  }

  /** Clients that sign in with every request are checked once: the check of a password is slow on purpose. */
  async #basic(exchange: Exchange, basic: string): Promise<Credential | undefined> {
    const known = await this.#sessions.accountOf(basic)
    if (known) return { account: known, isGood: async () => (await this.#sessions.accountOf(basic)) !== undefined }
    const text = Buffer.from(basic, 'base64').toString()
    const colon = text.indexOf(':')
    if (colon < 0) return undefined
    const credential = await this.#tried(exchange, text.slice(0, colon), text.slice(colon + 1))
    if (credential) this.#sessions.remember(basic, credential)
    return credential
  }

  /** @throws Fault TooMany */
  async #tried(exchange: Exchange, login: string, password: string): Promise<Credential | undefined> {
    const { address } = exchange
    const wait = this.#attempts.waitSeconds(login, address)
    if (wait) throw new Fault('TooMany', tooOften(wait), { data: { retryAfterSeconds: wait } })
    const credential = await exchange.enter(addressCaller(exchange), 'requests', () => this.#check(login, password))
    if (credential) this.#attempts.succeeded(login, address)
    else this.#attempts.failed(login, address)
    return credential
  }
}

function tooOften(seconds: number): string {
  return `too many failed sign-ins of this user; try again in ${seconds} seconds`
}

function addressCaller({ address }: Exchange): Caller {
  return { key: `address ${address}`, isReserved: false, isSignedIn: false }
}

/** How long a session lasts that a client wants for some minutes (`Session-TTL`), milliseconds. */
function lifeOf({ headers }: Exchange): number {
  const minutes = Number(headers['session-ttl'])
  return minutes > 0 ? Math.min(minutes * 60_000, sessionMs) : sessionMs
}

function refusalText(login: string): string {
  const at = login.lastIndexOf('@')
  const [user, domain] = at < 0 ? [login, 'N/A'] : [login.slice(0, at), login.slice(at + 1)]
  return `Cannot authenticate user '${user}@${domain}': The username or password is incorrect..`
}

function refused(code: string, error: string): Answer {
  return json(400, { error_code: code, error })
}

function json(code: number, body: Readonly<Record<string, string>>): Answer {
  return { code, type: 'application/json', body: JSON.stringify(body) }
}
