import { invalidOption, type Query } from '../request.ts'

/** The media type of server-side apply. */
export const applyType = 'application/apply-patch+yaml'

/** Longest name of a manager (Kubernetes' limit). */
const maxLength = 128

type Request = Readonly<{ method: string; query: Query; userAgent: string | undefined; contentType: string }>

/**
 * The field manager of a write: the client's, or its User-Agent up to the first slash.
 * @throws Fault Invalid for a malformed name, a missing one in an apply, or a `force` outside apply.
 */
export function managerOf({ method, query, userAgent, contentType }: Request): string {
  const isApply = contentType === applyType
  const name = query.fieldManager ?? ''
  if (isApply && !name)
    throw invalidOption('PatchOptions', 'fieldManager', 'Required value: is required for apply patch')
  if (method === 'PATCH' && !isApply && query.force !== undefined)
    throw invalidOption('PatchOptions', 'force', 'Forbidden: may not be specified for non-apply patch')
  if (name.length > maxLength)
    throw invalidOption('PatchOptions', 'fieldManager', `Too long: may not be more than ${maxLength} bytes`)
  if (/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(name))
    throw invalidOption(
      'PatchOptions',
      'fieldManager',
      `Invalid value: ${JSON.stringify(name)}: should only contain printable characters`,
    )
  const [agent = ''] = (userAgent ?? '').split(/[/\s]/, 1)
  return name || agent.slice(0, maxLength) || 'unknown'
}
