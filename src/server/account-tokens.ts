import { Secret } from '#apis/core/secret.ts'
import { ServiceAccount } from '#apis/core/serviceaccount.ts'
import type { ApiObject } from '#apis/meta/object.ts'
import type { Client } from '#machinery/client/client.ts'
import { ServiceAccountTokens } from '#machinery/rest/access/tokens.ts'
import { PageTokens } from './page/tokens.ts'

/**
 * The tokens of ServiceAccounts over the API of this process, signed with a private key in PEM. Whether a token is still good
 * is read from the store, which has its rows in memory: a deletion ends it in the moment it is acknowledged. What is being
 * deleted counts as gone.
 */
export function accountTokens(client: Client, key: string): ServiceAccountTokens {
  return new ServiceAccountTokens({
    key,
    uidOf: async (namespace, name) => {
      const found = await client.get(ServiceAccount, { namespace, name })
      return found?.metadata.deletionTimestamp ? undefined : found?.metadata.uid
    },
    secretOf: async (namespace, name) => {
      const found = await client.get(Secret, { namespace, name })
      if (!found || found.metadata.deletionTimestamp) return undefined
      return { uid: found.metadata.uid, token: Buffer.from(found.data?.token ?? '', 'base64').toString() }
    },
  })
}

/** The tokens of pages, likewise: one ends with the account of its user. */
export function pageTokens(client: Client, key: string): PageTokens {
  return new PageTokens({
    key,
    uidOf: async ({ kind, namespace, name }) => {
      const found = await client.get<ApiObject>(kind === 'Secret' ? Secret : ServiceAccount, { namespace, name })
      return found?.metadata.deletionTimestamp ? undefined : found?.metadata.uid
    },
  })
}
