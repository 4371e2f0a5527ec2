import { readFileSync } from 'node:fs'
import { load, loadAll } from 'js-yaml'

/** Where the manifests of the shapes that people have are, and what is expected of each. */
export const manifestsRoot = new URL('../manifests/', import.meta.url)

/**
 * What becomes of a manifest: its guest runs (after a start, where the VM does not start by itself), what is no VM is made, it waits
 * with a condition of this reason or with this status of the VM, or it is refused with this sentence.
 */
export type Outcome = 'runs' | 'made' | Readonly<{ waits: string }> | Readonly<{ refused: string }>

export type Expected = Readonly<{
  /** What of KubeVirt's API it shows, in a few words. */
  shape: string
  /** How many of the 178 public manifests with volumes that were counted have it. */
  counted?: number
  outcome: Outcome
  /** What the client is warned of, in order. */
  warnings?: readonly string[]
}>

// biome-ignore lint/suspicious/noExplicitAny: a manifest is sent as it is
export type Manifest = any

/** All expectations, by the path of the manifest. */
export function expectations(): ReadonlyMap<string, Expected> {
  const text = readFileSync(new URL('expected.yaml', manifestsRoot), 'utf8')
  return new Map(Object.entries(load(text) as Record<string, Expected>))
}

/** The objects of a manifest. */
export function objectsOf(path: string): readonly Manifest[] {
  return loadAll(readFileSync(new URL(path, manifestsRoot), 'utf8'))
}
