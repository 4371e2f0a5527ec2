import type { Network } from '#apis/kubevirt/interface.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { networkKey } from '../nic/desired.ts'
import { isNad } from '../nic/nic.ts'

/** The user who attaches a VM to networks. */
export type Attacher = Readonly<{
  /** The user's name, for the refusal. */
  user: string
  /** Whether the user may get a NetworkAttachmentDefinition, and so may attach VMs to it. */
  mayAttach: (namespace: string, name: string) => boolean
}>

type Networks = readonly Network[] | undefined

/**
 * Refuses networks that a write adds and that its user may not get: otherwise a name would give access to any namespace, as with
 * Multus without namespace isolation. Nothing is looked up, so that a refusal does not reveal what exists. `path` is the path of
 * the spec in the object, and `namespace` the object's own.
 */
export function attachErrors(
  networks: Networks,
  old: Networks,
  { path, namespace }: Readonly<{ path: string; namespace: string }>,
  { user, mayAttach }: Attacher,
): FieldError[] {
  const before = new Map((old ?? []).map((one) => [one.name, networkKey(one, namespace)]))
  return (networks ?? []).flatMap((one, i): FieldError[] => {
    const key = networkKey(one, namespace)
    if (!isNad(key) || before.get(one.name) === key) return []
    const [where = '', ...rest] = key.split('/')
    const name = rest.join('/')
    if (mayAttach(where, name)) return []
    return [
      {
        field: `${path}.networks[${i}].multus.networkName`,
        message: `user ${JSON.stringify(user)} cannot attach network ${JSON.stringify(key)}: that takes the right to get network-attachment-definitions.k8s.cni.cncf.io ${JSON.stringify(name)} in the namespace ${JSON.stringify(where)}; have a role there give it, or choose a network that you may get`,
        reason: 'FieldValueForbidden',
      },
    ]
  })
}
