import { signal } from '@preact/signals'
import { isObject } from '#base/json.ts'

/** Who is signed in. The token is in memory and in this tab's storage, and nowhere else. */
export type Session = Readonly<{ token: string; user: string; expiresMs: number | undefined }>

const storageKey = 'patchbay.session'
/** A token is renewed when less than this part of its life is left. */
const renewPart = 0.25
/** Longest time that a timer of a browser can wait. */
const maxTimerMs = 2 ** 31 - 1

/** Undefined until a user signs in. */
export const session = signal<Session | undefined>(stored())
/** Whether the server has refused the token of the session. */
export const isExpired = signal(false)

function stored(): Session | undefined {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(storageKey) ?? 'null')
    if (!isObject(value) || typeof value.token !== 'string') return undefined
    const { token, user, expiresMs } = value
    return { token, user: String(user ?? ''), expiresMs: typeof expiresMs === 'number' ? expiresMs : undefined }
  } catch {
    // Without storage the session lasts as long as the page.
    return undefined
  }
}

/** Begins a session, or goes on with another token. */
export function signIn(next: Session): void {
  session.value = next
  isExpired.value = false
  keep(next)
  scheduleRenewal(next)
}

export function signOut(): void {
  session.value = undefined
  isExpired.value = false
  clearTimeout(renewal)
  keep(undefined)
}

function keep(next: Session | undefined): void {
  try {
    if (next) sessionStorage.setItem(storageKey, JSON.stringify(next))
    else sessionStorage.removeItem(storageKey)
  } catch {
    // See `stored`.
  }
}

/** The one-time code of the page's address, which is removed from there at once. */
export function takeCode(): string | undefined {
  const code = new URLSearchParams(location.hash.slice(1)).get('code')
  if (code === null) return undefined
  history.replaceState(null, '', location.pathname)
  return code
}

/** Redeems a one-time code; false when it has been used or is too old. */
export async function redeem(code: string): Promise<boolean> {
  return take(await post('/ui/session', { code }))
}

/** Asks for a fresh token by the one that is about to expire. */
async function renew(): Promise<void> {
  const now = session.value
  if (!now || isExpired.value) return
  const answer = await post('/ui/session/renew', undefined, now.token).catch(() => undefined)
  // A token of another origin, which was pasted, cannot be renewed: it ends when it ends.
  if (answer) await take(answer)
}

let renewal: ReturnType<typeof setTimeout> | undefined

function scheduleRenewal({ expiresMs }: Session): void {
  clearTimeout(renewal)
  if (expiresMs === undefined) return
  const leftMs = expiresMs - Date.now()
  if (leftMs <= 0) return
  renewal = setTimeout(() => void renew(), Math.min(leftMs * (1 - renewPart), maxTimerMs))
}

/** Goes on with a stored session, whose timer ended with the page before. */
export function resume(): void {
  if (session.value) scheduleRenewal(session.value)
}

function post(path: string, body: unknown, token?: string): Promise<Response> {
  return fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(body ?? {}),
    cache: 'no-store',
    credentials: 'omit',
  })
}

async function take(answer: Response): Promise<boolean> {
  if (!answer.ok) return false
  const value: unknown = await answer.json().catch(() => undefined)
  if (!isObject(value) || typeof value.token !== 'string') return false
  const expiresMs = Date.parse(String(value.expirationTimestamp))
  signIn({
    token: value.token,
    user: String(value.user ?? ''),
    expiresMs: Number.isNaN(expiresMs) ? undefined : expiresMs,
  })
  return true
}

/** Finds out whether a pasted token is good, and whose it is. @throws Error with a text for the user */
export async function whoIs(token: string): Promise<'refused' | Session> {
  const answer = await fetch('/apis/authentication.k8s.io/v1/selfsubjectreviews', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }),
    credentials: 'omit',
  })
  if (answer.status === 401) return 'refused'
  const value: unknown = await answer.json().catch(() => undefined)
  const status = isObject(value) && isObject(value.status) ? value.status : {}
  const user = isObject(status.userInfo) ? String(status.userInfo.username ?? '') : ''
  return { token, user, expiresMs: expiryOf(token) }
}

/** When a token that says so ends; it is not checked here, only read. */
function expiryOf(token: string): number | undefined {
  try {
    const part = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    const claims: unknown = JSON.parse(atob(part))
    return isObject(claims) && typeof claims.exp === 'number' ? claims.exp * 1000 : undefined
  } catch {
    // A token of another kind.
    return undefined
  }
}

/** The sub-protocol by which a WebSocket has the token: browsers send no header of ours with it. */
export function bearerProtocol(): string {
  const bytes = new TextEncoder().encode(session.value?.token ?? '')
  const text = btoa(String.fromCharCode(...bytes))
  return `base64url.bearer.authorization.k8s.io.${text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`
}
