import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'

const kinds: Readonly<Record<string, { schema: unknown }>> = {
  VirtualMachine,
  VirtualMachineInstance,
  VirtualMachineInstanceMigration,
}

/** The types of a leaf in our schema that hold values of upstream's type. */
const holds: Readonly<Record<string, readonly string[]>> = {
  string: ['string'],
  boolean: ['boolean'],
  integer: ['integer', 'number'],
  number: ['number'],
  quantity: ['quantity'],
  'int-or-string': ['quantity'],
  time: ['string'],
  object: ['object'],
}

function typeOf(schema: JsonObject): string {
  return schema['x-kubernetes-int-or-string'] === true ? 'quantity' : String(schema.type)
}

/** What our schema says at a path of upstream's, or where it ends. */
function at(schema: Json | undefined, path: readonly string[]): JsonObject | string {
  let now = schema
  for (const [i, step] of path.entries()) {
    if (!isObject(now)) return path.slice(0, i).join('.')
    if (now['x-kubernetes-preserve-unknown-fields'] === true) return { type: 'preserved' }
    const properties = isObject(now.properties) ? now.properties : {}
    now = step === '[]' ? now.items : step === '*' ? now.additionalProperties : properties[step]
  }
  return isObject(now) ? now : path.join('.')
}

test('every field of KubeVirt v1 is in the schema, with its type', () => {
  const lines = readFileSync(new URL('../kit/kubevirt/fields-v1.6.txt', import.meta.url), 'utf8')
    .trim()
    .split('\n')
  assert.ok(lines.length > 700)
  const wrong = lines.flatMap((line) => {
    const [path = '', type = ''] = line.split(' ')
    const [kind = '', ...steps] = path.replaceAll('[]', '.[]').split('.')
    const found = at(kinds[kind]?.schema as Json, steps)
    if (typeof found === 'string') return [`${line}: unknown`]
    const ours = typeOf(found)
    return ours === 'preserved' || holds[type]?.includes(ours) ? [] : [`${line}: is ${ours} here`]
  })
  assert.deepEqual(wrong, [])
})
