import { dump } from 'js-yaml'
import { kinds } from '#apis/kinds.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import type { Manifest } from '#kit/manifests.ts'
import type { Any, Api } from './api.ts'

/** What became of objects that were applied: the refusal of the first that was, and all warnings. */
export type Applied = Readonly<{ refused?: string; warnings: readonly string[] }>

/** Applies objects as `kubectl apply --server-side` does, in a namespace unless they name another. */
export async function apply(api: Api, namespace: string, objects: readonly Manifest[]): Promise<Applied> {
  const warnings: string[] = []
  for (const object of objects) {
    const { code, headers, json, text } = await api.send('PATCH', `${pathOf(object, namespace)}?fieldManager=kubectl`, {
      body: dump(object),
      type: 'application/apply-patch+yaml',
    })
    warnings.push(...warningsIn(String(headers.warning ?? '')))
    if (code >= 300) return { refused: String(json?.message ?? text), warnings }
  }
  return { warnings }
}

/** The path of an object, also of a kind that is not served. */
export function pathOf({ apiVersion, kind, metadata }: Manifest, namespace: string, subresource = ''): string {
  const served = kinds.find((one) => one.kind === kind && apiVersionOf(one) === apiVersion)
  const plural = served?.plural ?? `${kind.toLowerCase()}s`.replace(/ys$/, 'ies')
  const place = served?.namespaced === false ? '' : `/namespaces/${metadata.namespace ?? namespace}`
  const group = subresource
    ? 'apis/subresources.kubevirt.io/v1'
    : `${apiVersion.includes('/') ? 'apis' : 'api'}/${apiVersion}`
  return `/${group}${place}/${plural}/${metadata.name}${subresource && `/${subresource}`}`
}

/** The texts of a Warning header, or of several that were joined. */
function warningsIn(header: string): string[] {
  return [...header.matchAll(/299 - "((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) => text.replace(/\\(.)/g, '$1'))
}

/** What an instance waits for: the reasons of its conditions that are not as they should be. */
export function reasonsOf(vmi: Any): string[] {
  const conditions: readonly Any[] = vmi?.status?.conditions ?? []
  return conditions
    .filter(({ type, status }) => status === 'False' && (type === 'Synchronized' || type === 'PodScheduled'))
    .map(({ reason }) => reason)
}
