import assert from 'node:assert/strict'
import { test } from 'node:test'
import { protocolToken } from './authenticate.ts'

const named = (text: string) => `base64url.bearer.authorization.k8s.io.${Buffer.from(text).toString('base64url')}`

test('a token is taken from the subprotocols that are offered, as Kubernetes does', () => {
  assert.equal(protocolToken(`${named('a.b-c_d')}, plain.kubevirt.io`), 'a.b-c_d')
  assert.equal(protocolToken(`plain.kubevirt.io,${named('x')}`), 'x')
  for (const none of [undefined, '', 'plain.kubevirt.io', 'base64.binary.k8s.io'])
    assert.equal(protocolToken(none), undefined)
  const wrong = [
    // Another subprotocol has to be there for the answer.
    named('x'),
    `${named('x')}, ${named('y')}, plain.kubevirt.io`,
    'base64url.bearer.authorization.k8s.io., plain.kubevirt.io',
    'base64url.bearer.authorization.k8s.io.eA==, plain.kubevirt.io',
    `${named('x y')}, plain.kubevirt.io`,
    `${named('x\n')}, plain.kubevirt.io`,
  ]
  for (const offered of wrong) assert.throws(() => protocolToken(offered), { kind: 'Unauthorized' }, offered)
})
