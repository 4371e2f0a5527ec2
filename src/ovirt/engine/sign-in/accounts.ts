import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { Secret } from '#apis/core/secret.ts'
import type { Stored } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isStrings, parsedJson } from '#base/json.ts'
import { sha256Hex } from '#base/sha256.ts'
import type { Client, Key } from '#machinery/client/client.ts'
import { type TokenReader, withGroup } from '#machinery/rest/access/authenticate.ts'
import type { User } from '#machinery/rest/strategy.ts'
import type { Credential } from './sessions.ts'

/** The type of Secrets that hold the password of a user. */
const passwordType = 'patchbay.dev/user-password'
/** Where they are: whoever may read Secrets there may do everything anyway. */
const namespace = 'kube-system'
/** The domain of users in names such as `admin@internal`. */
const domain = 'internal'

const deriveKey = promisify(scrypt) as (
  password: string,
  salt: Buffer,
  bytes: number,
  options: Readonly<{ N: number; r: number; p: number; maxmem: number }>,
) => Promise<Buffer>

/** Costs of scrypt: 64 MiB and a tenth of a second, on a thread beside the event loop. */
const cost = { N: 2 ** 16, r: 8, p: 1, maxmem: 128 * 1024 * 1024 } as const
const keyBytes = 32

/** Most checks of passwords that wait for their turn. */
const maxWaiting = 32
const turn = { waiting: 0, last: Promise.resolve() }

/**
 * One at a time: each takes one of the few threads that files and names wait for, too, and its memory. @throws Fault TooMany when
 * many wait already
 */
async function derive(password: string, salt: Buffer): Promise<Buffer> {
  if (turn.waiting >= maxWaiting)
    throw new Fault('TooMany', 'too many users are signing in, please try again later', {
      data: { retryAfterSeconds: 1 },
    })
  turn.waiting++
  const hash = turn.last.then(() => deriveKey(password, salt, keyBytes, cost))
  turn.last = hash.then(
    () => undefined,
    () => undefined,
  )
  return hash.finally(() => turn.waiting--)
}

/** A user with a password. */
type PasswordUser = Readonly<{ name: string; groups: readonly string[]; password: string }>

/** The Secret of a user's password; a new one for each password, so that the old one ends its sessions. */
export async function passwordSecret({ name, groups, password }: PasswordUser): Promise<Secret> {
  const salt = randomBytes(16)
  const hash = await derive(password, salt)
  const text = (value: string) => Buffer.from(value).toString('base64')
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace, name: passwordKey(name).name },
    type: passwordType,
    data: {
      name: text(name),
      groups: text(JSON.stringify(groups)),
      salt: salt.toString('base64'),
      hash: hash.toString('base64'),
    },
  }
}

/** Where the password of a user is; names of users have letters that names of objects have not. */
export function passwordKey(name: string): Required<Key> {
  return { namespace, name: `user-password-${sha256Hex(name).slice(0, 32)}` }
}

/**
 * Signs in `NAME` or `NAME@internal` with a password: one that was set for the user, or a token of Patchbay's that is theirs.
 * Resolves to undefined when it is neither.
 */
export function signIn(client: Client, tokens: readonly TokenReader[]) {
  return async (login: string, password: string): Promise<Credential | undefined> => {
    const name = userName(login)
    if (name === undefined || !password) return undefined
    return (await byToken(tokens, name, password)) ?? (await byPassword(client, name, password))
  }
}

/** The user of a login; undefined for another domain than ours. */
function userName(login: string): string | undefined {
  const at = login.lastIndexOf('@')
  if (at < 0) return login || undefined
  return login.slice(at + 1) === domain ? login.slice(0, at) || undefined : undefined
}

/** A user as oVirt shows them. A ServiceAccount is shown by its own name. */
export function accountOf(user: User): Credential['account'] {
  return { user: withGroup(user), name: `${shortName(user.name)}@${domain}` }
}

function shortName(name: string): string {
  return /^system:serviceaccount:[^:]+:([^:]+)$/.exec(name)?.[1] ?? name
}

async function byToken(tokens: readonly TokenReader[], name: string, token: string): Promise<Credential | undefined> {
  const user = await bearerOf(tokens, token)
  if (!user || (user.name !== name && shortName(user.name) !== name)) return undefined
  return { account: accountOf(user), isGood: async () => (await bearerOf(tokens, token))?.name === user.name }
}

/** The user a token of Patchbay's was given to. */
export async function bearerOf(tokens: readonly TokenReader[], token: string): Promise<User | undefined> {
  for (const reader of tokens) {
    const user = await reader.userOf(token)
    if (user) return user
  }
  return undefined
}

async function byPassword(client: Client, name: string, password: string): Promise<Credential | undefined> {
  const found = await client.get(Secret, passwordKey(name))
  // A user who is not there takes as long as one who is.
  const salt = bytes(found, 'salt')
  const expected = bytes(found, 'hash')
  const hash = await derive(password, salt.length ? salt : Buffer.alloc(16))
  if (!found || found.type !== passwordType || !isSame(hash, expected) || bytes(found, 'name').toString() !== name)
    return undefined
  const user = { name, groups: groupsIn(found) }
  const { uid, resourceVersion } = found.metadata
  return {
    account: accountOf(user),
    isGood: async () => {
      const now = await client.get(Secret, passwordKey(name))
      return now?.metadata.uid === uid && now.metadata.resourceVersion === resourceVersion
    },
  }
}

/** The groups of the user of a password. */
export function groupsIn(secret: Stored<Secret> | undefined): readonly string[] {
  const groups = parsedJson(bytes(secret, 'groups').toString())
  return isStrings(groups) ? groups : []
}

function bytes(secret: Stored<Secret> | undefined, field: string): Buffer {
  return Buffer.from(secret?.data?.[field] ?? '', 'base64')
}

function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
