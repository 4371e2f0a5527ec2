import { kinds } from '#apis/kinds.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { eventually } from '#base/wait.ts'
import { vmFinalizer } from '#controllers/vm.ts'
import { vmiFinalizer } from '#core/vm/instance.ts'
import { sandboxFinalizer } from '#core/vm/launcher.ts'
import type { Any, Api } from '../api.ts'

/** Those that somebody among us takes away. */
const ours: ReadonlySet<string> = new Set(['foregroundDeletion', 'orphan', vmFinalizer, vmiFinalizer, sandboxFinalizer])

/** Deletes namespaces and waits until they are gone. What fuzz put its own finalizers on is let go by hand, as on any cluster. */
export async function sweep(api: Api, namespaces: readonly string[]): Promise<void> {
  for (const name of namespaces) await api.delete(`/api/v1/namespaces/${name}`)
  let left: string[] = []
  const isGone = async () => {
    left = []
    for (const { path, object } of await leftIn(api, namespaces)) {
      left.push(`${path} ${object.metadata.finalizers ?? ''}`)
      const finalizers = object.metadata.finalizers?.filter((one: string) => ours.has(one))
      if (finalizers?.length === object.metadata.finalizers?.length) continue
      await api.send('PATCH', path, { body: { metadata: { finalizers } }, type: 'application/merge-patch+json' })
    }
    const names = (await api.list('/api/v1/namespaces')).map(({ metadata }) => metadata.name)
    return namespaces.every((name) => !names.includes(name))
  }
  await eventually('the namespaces are gone', isGone).catch((cause: unknown) => {
    throw new Error(`${left.length} objects do not go, such as ${left.slice(0, 5).join(', ')}`, { cause })
  })
}

async function leftIn(api: Api, namespaces: readonly string[]): Promise<{ path: string; object: Any }[]> {
  const found: { path: string; object: Any }[] = []
  for (const kind of kinds.filter((one) => one.namespaced))
    for (const namespace of namespaces) {
      const path = `/${kind.group ? 'apis' : 'api'}/${apiVersionOf(kind)}/namespaces/${namespace}/${kind.plural}`
      for (const object of await api.list(path)) found.push({ path: `${path}/${object.metadata.name}`, object })
    }
  return found
}
