import type { Node, Taint } from '#apis/core/node.ts'
import type { Toleration } from '#apis/kubevirt/affinity.ts'

/** Effects that keep an instance off a node when it is placed. */
const effects: ReadonlySet<string> = new Set(['NoSchedule', 'NoExecute'])

/** The first taint of a node that keeps an instance with these tolerations off it. */
export function untolerated({ spec }: Node, tolerations: readonly Toleration[] = []): Taint | undefined {
  return spec?.taints?.find(
    (taint) => effects.has(taint.effect) && !tolerations.some((toleration) => tolerates(toleration, taint)),
  )
}

/** Without a key and with Exists every taint is tolerated, without an effect every effect (Kubernetes). */
function tolerates({ key, operator = 'Equal', value = '', effect }: Toleration, taint: Taint): boolean {
  if (effect && effect !== taint.effect) return false
  if (key && key !== taint.key) return false
  return operator === 'Exists' || (Boolean(key) && value === (taint.value ?? ''))
}
