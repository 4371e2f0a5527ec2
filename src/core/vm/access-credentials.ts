import type { VmiSpec, VmiStatus } from '#apis/kubevirt/vmi.ts'
import { findCondition, withCondition } from './conditions.ts'

/** What a guest's agent is to set, by user of the guest. */
export type AgentCredentials = Readonly<{
  /** All SSH keys of a user, which replace those that the user has. */
  keys: ReadonlyMap<string, readonly string[]>
  passwords: ReadonlyMap<string, string>
}>

/** Whether the credentials of a guest are as declared, and else why not. */
export type CredentialSync = Readonly<{ isDone: true } | { isDone: false; message: string }>

type Spec = Pick<VmiSpec, 'accessCredentials'>

const type = 'AccessCredentialsSynchronized'

/** The Secrets with credentials that are set by the guest's agent. */
export function agentSecrets({ accessCredentials = [] }: Spec): string[] {
  const names = accessCredentials.flatMap(({ sshPublicKey, userPassword }) => {
    const one = sshPublicKey ?? userPassword
    const name = one?.source?.secret?.secretName
    return one?.propagationMethod?.qemuGuestAgent && name ? [name] : []
  })
  return [...new Set(names)]
}

/** The credentials in these Secrets, or which of them are missing. The keys of one with passwords are users (KubeVirt). */
export function agentCredentials(
  spec: Spec,
  secret: (name: string) => ReadonlyMap<string, Uint8Array> | undefined,
): AgentCredentials | Readonly<{ problem: string }> {
  const missing = agentSecrets(spec).filter((name) => !secret(name))
  if (missing.length) return { problem: `Secrets not found, waiting for them to appear: ${missing.join(', ')}` }
  const keys = new Map<string, string[]>()
  const passwords = new Map<string, string>()
  for (const { sshPublicKey, userPassword } of spec.accessCredentials ?? []) {
    const users = sshPublicKey?.propagationMethod?.qemuGuestAgent?.users ?? []
    const lines = textsIn(secret(sshPublicKey?.source?.secret?.secretName ?? '')).flatMap(([, text]) => linesOf(text))
    for (const user of users) keys.set(user, [...new Set([...(keys.get(user) ?? []), ...lines])])
    if (!userPassword?.propagationMethod?.qemuGuestAgent) continue
    for (const [user, text] of textsIn(secret(userPassword.source?.secret?.secretName ?? '')))
      passwords.set(user, text.replace(/\r?\n$/, ''))
  }
  return { keys, passwords }
}

function textsIn(content: ReadonlyMap<string, Uint8Array> | undefined): [string, string][] {
  return [...(content ?? [])]
    .map(([key, bytes]): [string, string] => [key, new TextDecoder().decode(bytes)])
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
}

/** The conditions with what is known of the credentials; as they were while nothing is. */
export function withCredentialSync(
  conditions: VmiStatus['conditions'],
  sync: CredentialSync | undefined,
  now: string,
): VmiStatus['conditions'] {
  if (!sync) return conditions
  const condition = sync.isDone ? { status: 'True' as const } : { status: 'False' as const, message: sync.message }
  return withCondition(conditions, { type, ...condition }, now)
}

/** The Event about a change of the condition, in KubeVirt's words; undefined when there is none. */
export function credentialEvent(
  { conditions }: Pick<VmiStatus, 'conditions'>,
  sync: CredentialSync | undefined,
): Readonly<{ type: 'Normal' | 'Warning'; reason: string; message: string }> | undefined {
  const old = findCondition(conditions, type)
  if (!sync || (old?.status === 'True' && sync.isDone)) return undefined
  if (sync.isDone)
    return { type: 'Normal', reason: 'AccessCredentialsSyncSuccess', message: 'Access credentials sync successful.' }
  if (old?.status === 'False' && old.message === sync.message) return undefined
  return {
    type: 'Warning',
    reason: 'AccessCredentialsSyncFailed',
    message: `Access credentials sync failed: ${sync.message}`,
  }
}
