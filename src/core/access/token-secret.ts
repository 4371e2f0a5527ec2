import type { Secret } from '#apis/core/secret.ts'
import type { ServiceAccount } from '#apis/core/serviceaccount.ts'
import type { Stored } from '#apis/meta/object.ts'
import { toBase64 } from '#base/base64.ts'

/** The type of a Secret that holds a token of a ServiceAccount. */
export const tokenSecretType = 'kubernetes.io/service-account-token'
/** Names the ServiceAccount of such a Secret. */
export const accountNameAnnotation = 'kubernetes.io/service-account.name'
/** Its uid, noted when the Secret is filled: an account that was made again under the name is another one. */
const accountUidAnnotation = 'kubernetes.io/service-account.uid'

/** What fills Secrets. */
export type TokenSource = Readonly<{
  /** Certificate of the authority that clients know the server by, PEM. */
  authority(): string
  /** A token of a ServiceAccount that is as good as the Secret it is kept in. */
  issueFor(account: Stored<ServiceAccount>, secret: Stored<Secret>): string
}>

/** Where the ServiceAccount of a Secret is; undefined for a Secret of another type. */
export function accountKeyOf({ type, metadata }: Stored<Secret>): { namespace: string; name: string } | undefined {
  const name = metadata.annotations?.[accountNameAnnotation]
  return type === tokenSecretType && name ? { namespace: metadata.namespace, name } : undefined
}

/** Whether a ServiceAccount is the one a Secret was made for. */
export function isAccountOf(secret: Stored<Secret>, { metadata }: Stored<ServiceAccount>): boolean {
  const key = accountKeyOf(secret)
  const uid = secret.metadata.annotations?.[accountUidAnnotation]
  return key?.namespace === metadata.namespace && key.name === metadata.name && (!uid || uid === metadata.uid)
}

/**
 * A Secret with what it lacks of a ServiceAccount's token, as Kubernetes' token controller fills it: a token that is there
 * stays, one that was taken out is made again. Undefined when nothing is to be written.
 */
export function filledTokenSecret(
  secret: Stored<Secret>,
  account: Stored<ServiceAccount>,
  source: TokenSource,
): Stored<Secret> | undefined {
  const { data = {}, metadata, immutable } = secret
  // One that is made immutable before it is filled stays as it is.
  if (immutable || metadata.deletionTimestamp || !isAccountOf(secret, account)) return undefined
  const authority = toBase64(source.authority())
  const isWhole = data.token && data.namespace && data['ca.crt'] === authority
  if (isWhole && metadata.annotations?.[accountUidAnnotation]) return undefined
  return {
    ...secret,
    metadata: { ...metadata, annotations: { ...metadata.annotations, [accountUidAnnotation]: account.metadata.uid } },
    data: {
      ...data,
      'ca.crt': authority,
      namespace: data.namespace || toBase64(metadata.namespace),
      token: data.token || toBase64(source.issueFor(account, secret)),
    },
  }
}
