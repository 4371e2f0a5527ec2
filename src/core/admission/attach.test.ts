import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Network } from '#apis/kubevirt/interface.ts'
import { attachErrors } from './attach.ts'

const nad = (name: string, networkName: string, isDefault = false): Network => ({
  name,
  multus: { networkName, ...(isDefault && { default: true }) },
})
const pod: Network = { name: 'default', pod: {} }

/** Which networks are asked about, and which fields are refused when the answer is no. */
function judged(networks: readonly Network[], old?: readonly Network[]) {
  const asked: string[] = []
  const mayAttach = (namespace: string, name: string) => {
    asked.push(`${namespace} ${name}`)
    return false
  }
  const errors = attachErrors(networks, old, { path: 'spec', namespace: 'own' }, { user: 'jane', mayAttach })
  return [asked, errors.map(({ field }) => field)]
}
const field = (index: number) => `spec.networks[${index}].multus.networkName`

for (const [what, networks, old, asked, refused] of [
  ['a network of the own namespace', [pod, nad('a', 'red')], undefined, ['own red'], [field(1)]],
  ['one of another', [nad('a', 'other/red')], undefined, ['other red'], [field(0)]],
  ['one in place of the pod network', [nad('a', 'other/red', true)], undefined, ['other red'], [field(0)]],
  ['another one under a card', [nad('a', 'other/red')], [nad('a', 'red')], ['other red'], [field(0)]],
  [
    'a second card on one that is there',
    [nad('a', 'red'), nad('b', 'red')],
    [nad('a', 'red')],
    ['own red'],
    [field(1)],
  ],
  ['the pod network', [pod], undefined, [], []],
  ['no network', [nad('a', 'patchbay-none')], [nad('a', 'red')], [], []],
  ['what is there, spelled otherwise', [nad('a', 'own/red')], [nad('a', 'red')], [], []],
  ['one that goes', [pod], [pod, nad('a', 'other/red')], [], []],
] as const)
  test(`the right to attach is asked for: ${what}`, () => assert.deepEqual(judged(networks, old), [asked, refused]))

test('who may attach is not refused', () => {
  const mayAttach = () => true
  assert.deepEqual(attachErrors([nad('a', 'b/c')], [], { path: 'spec', namespace: 'x' }, { user: 'j', mayAttach }), [])
})
