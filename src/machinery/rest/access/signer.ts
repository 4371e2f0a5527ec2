import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { isObject, type JsonObject, parsedJson } from '#base/json.ts'

/** Signs claims as JSON Web Tokens with ES256, and reads what it has signed. */
export class Signer {
  readonly #private: KeyObject
  readonly #public: KeyObject
  readonly #header: string

  /** `key` is a private one of the curve P-256, PEM. What `more` says in the header tells tokens of one key apart. */
  constructor(key: string, more: JsonObject = {}) {
    this.#private = createPrivateKey(key)
    this.#public = createPublicKey(this.#private)
    const kid = createHash('sha256')
      .update(this.#public.export({ type: 'spki', format: 'der' }))
      .digest('base64url')
    this.#header = encode({ alg: 'ES256', kid, ...more })
  }

  signed(claims: JsonObject): string {
    const text = `${this.#header}.${encode(claims)}`
    const signature = sign('sha256', Buffer.from(text), { key: this.#private, dsaEncoding: 'ieee-p1363' })
    return `${text}.${signature.toString('base64url')}`
  }

  /** The claims of a token of ours; undefined for any other. Their times are not looked at. */
  verified(token: string): JsonObject | undefined {
    const [header, payload, signature, ...more] = token.split('.')
    // The header must equal ours byte by byte: no client chooses the algorithm.
    if (header !== this.#header || !payload || !signature || more.length) return undefined
    const key = { key: this.#public, dsaEncoding: 'ieee-p1363' } as const
    if (!verify('sha256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url')))
      return undefined
    return claimsIn(token)
  }
}

/** What a JSON Web Token says, which may be a forged one; undefined for another text. */
export function claimsIn(token: string): JsonObject | undefined {
  const [, payload = ''] = token.split('.')
  const claims = parsedJson(Buffer.from(payload, 'base64url').toString('utf8'))
  return isObject(claims) ? claims : undefined
}

function encode(value: JsonObject): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
