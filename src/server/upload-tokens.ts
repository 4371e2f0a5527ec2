import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { isObject, parsedJson } from '#base/json.ts'
import type { UploadKey } from '#core/disk/upload.ts'

/** How long an upload may be begun with a token, milliseconds (CDI). */
const lifeMs = 300_000

/** What a token is for, and the user who asked for it. */
type Grant = UploadKey & Readonly<{ user: string }>

/** Tokens to upload disks with. They are good for this process, which forgets nothing that it has to know of them. */
export class UploadTokens {
  readonly #key = randomBytes(32)

  issue({ namespace, name, uid, user }: Grant, nowMs: number): string {
    const text = JSON.stringify({ namespace, name, uid, user, until: nowMs + lifeMs })
    const body = Buffer.from(text).toString('base64url')
    return `${body}.${this.#signatureOf(body).toString('base64url')}`
  }

  /** What a token is for; undefined for one that is not ours or too old. */
  read(token: string, nowMs: number): Grant | undefined {
    const [body = '', signature = ''] = token.split('.')
    const given = Buffer.from(signature, 'base64url')
    const right = this.#signatureOf(body)
    if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined
    const grant = parsedJson(Buffer.from(body, 'base64url').toString())
    if (!isObject(grant) || Number(grant.until) < nowMs) return undefined
    const { namespace, name, uid, user } = grant
    return { namespace: String(namespace), name: String(name), uid: String(uid), user: String(user) }
  }

  #signatureOf(body: string): Buffer {
    return createHmac('sha256', this.#key).update(body).digest()
  }
}
