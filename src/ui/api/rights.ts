import { signal } from '@preact/signals'
import { isObject } from '#base/json.ts'
import { type Act, allows, needs, needText, type Rule } from '../model/rights.ts'
import { words } from '../words.ts'
import { client } from './cluster.ts'

/** What the user may do, by namespace. Until it is known, everything may be tried: the server decides anyway. */
const rules = signal<ReadonlyMap<string, readonly Rule[]>>(new Map())
const asked = new Set<string>()

/** Why the user may not do something, for the machine of that name; undefined when they may. */
export function missing(act: Act, namespace: string, name: string): string | undefined {
  ask(namespace)
  const known = rules.value.get(namespace)
  if (!known || allows(known, needs[act], name)) return undefined
  return words.rights.missing(needText(needs[act], namespace))
}

/** Forgets what is known: another user has signed in. */
export function forgetRights(): void {
  asked.clear()
  rules.value = new Map()
}

function ask(namespace: string): void {
  if (asked.has(namespace)) return
  asked.add(namespace)
  void read(namespace).catch(() => asked.delete(namespace))
}

async function read(namespace: string): Promise<void> {
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectRulesReview',
    metadata: {},
    spec: { namespace },
  }
  const answer = await client.call('POST', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', review)
  const status = isObject(answer) && isObject(answer.status) ? answer.status : {}
  // The server's answer is what its schema says; a field that is missing allows nothing.
  const list = (Array.isArray(status.resourceRules) ? status.resourceRules : []) as readonly Rule[]
  rules.value = new Map([...rules.value, [namespace, list]])
}
