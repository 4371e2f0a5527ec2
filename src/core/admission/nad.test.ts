import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { nadErrors } from './nad.ts'

const nad = (name: string) => ({ metadata: { name, namespace: 'any' } }) as NetworkAttachmentDefinition

test('a definition cannot take the name that means no network; one that has it already can still be changed', () => {
  assert.deepEqual(nadErrors(nad('red'), undefined), [])
  const [error, ...others] = nadErrors(nad('patchbay-none'), undefined)
  assert.deepEqual([error?.field, error?.reason, others], ['metadata.name', 'FieldValueForbidden', []])
  assert.match(error?.message ?? '', /"patchbay-none" is reserved: .*choose another name/)
  assert.deepEqual(nadErrors(nad('patchbay-none'), nad('patchbay-none')), [])
})
