import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import {
  type Drift,
  type LinkDrift,
  type Links,
  linkChangedInAnnotation,
  linkDrift,
  linkDriftAnnotation,
  linksOf,
} from '#core/nic/drift.ts'
import type { Nic } from '#core/nic/nic.ts'
import { isTrue } from '#core/vm/conditions.ts'

/** `kept` has, for each link that was left as it was found, the generation of the VM at that time. */
type Memory = { known: Links; kept: ReadonlyMap<string, string> }

/**
 * Distinguishes links that were changed outside Patchbay from links with a new declared state. It remembers the last observed
 * links of each guest; a new process starts from the status.
 */
export class DriftTracker {
  readonly #memory = new Map<string, Memory>()

  judge(uid: string, vmi: VirtualMachineInstance, desired: readonly Nic[], observed: readonly Nic[]): LinkDrift {
    const { known, kept: before } = this.#memory.get(uid) ?? fromStatus(vmi)
    const fresh = linkDrift(desired, observed, known)
    const generation = generationOf(vmi)
    const isReportOnly = vmi.metadata.annotations?.[linkDriftAnnotation] === 'report'
    const declared = linksOf(desired)
    const kept = isReportOnly
      ? observed.flatMap(({ name, link }): Drift[] => {
          const wanted = declared.get(name)
          // A link that was declared again since then is set, even if the declared state is the same as before.
          const isKept = before.get(name) === generation || fresh.some(({ nic }) => nic === name)
          return isKept && wanted !== undefined && wanted !== link ? [{ nic: name, declared: wanted, found: link }] : []
        })
      : []
    this.#memory.set(uid, { known: linksOf(observed), kept: new Map(kept.map(({ nic }) => [nic, generation])) })
    return { fresh, kept }
  }

  forget(uid: string): void {
    this.#memory.delete(uid)
  }
}

/** The generation of the VM in which a link was last declared. */
function generationOf({ metadata }: VirtualMachineInstance): string {
  return metadata.annotations?.[linkChangedInAnnotation] ?? ''
}

function fromStatus(vmi: VirtualMachineInstance): Memory {
  const { status } = vmi
  const known: [string, 'up' | 'down'][] = (status?.interfaces ?? []).flatMap(({ name, linkState }) =>
    name && linkState ? [[name, linkState] as [string, 'up' | 'down']] : [],
  )
  const links = new Map(known)
  return {
    known: links,
    kept: new Map(isTrue(status?.conditions, 'LinkDrift') ? known.map(([name]) => [name, generationOf(vmi)]) : []),
  }
}
