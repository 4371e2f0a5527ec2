import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseReference, referenceText } from './reference.ts'

const digest = `sha256:${'a'.repeat(64)}`

const full: Readonly<Record<string, string>> = {
  debian: 'docker.io/library/debian:latest',
  'debian:12': 'docker.io/library/debian:12',
  'kubevirt/cirros': 'docker.io/kubevirt/cirros:latest',
  'docker.io/debian': 'docker.io/library/debian:latest',
  'index.docker.io/debian': 'docker.io/library/debian:latest',
  'docker://quay.io/containerdisks/fedora:41': 'quay.io/containerdisks/fedora:41',
  'localhost/a': 'localhost/a:latest',
  'localhost:5000/a:b': 'localhost:5000/a:b',
  'registry:5000/a/b/c': 'registry:5000/a/b/c:latest',
  'QUAY.io/a/b': 'quay.io/a/b:latest',
  '[::1]:5000/a': '[::1]:5000/a:latest',
  'registry/a': 'docker.io/registry/a:latest',
  [`debian@${digest}`]: `docker.io/library/debian@${digest}`,
  [`quay.io/a/b:c@${digest}`]: `quay.io/a/b:c@${digest}`,
}

test('a reference has the host, the path and the tag that Docker gives it', () => {
  for (const [text, expected] of Object.entries(full)) assert.equal(referenceText(parseReference(text)), expected)
})

test('a reference in full stands for itself', () => {
  for (const text of Object.values(full)) assert.equal(referenceText(parseReference(text)), text)
})

const wrong = [
  '',
  '/',
  'a/',
  'quay.io/',
  'quay.io//a',
  'Debian',
  'quay.io/../a',
  'quay.io/a/../../b',
  'a:b:c',
  'a b',
  'a:',
  `a:${'t'.repeat(129)}`,
  'a@sha256:12',
  `a@${digest}@${digest}`,
  `a@md5:${'a'.repeat(32)}`,
  'user:password@quay.io/a',
  'quay.io/a?b',
  'quay.io/a#b',
  'quay.io\n/a',
  `quay.io/${'a/'.repeat(200)}b`,
]

test('what is no reference is refused by name', () => {
  for (const text of wrong)
    assert.throws(() => parseReference(text), { kind: 'Invalid', message: /is no reference to an image/ }, text)
})
