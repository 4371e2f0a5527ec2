import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Fault } from '#base/fault.ts'
import { faultIn } from '#kit/machinery/rest/rest-kit.ts'
import { parseResourcePath, type ResourcePath } from './path.ts'

const core = { group: '', version: 'v1' }
const kubevirt = { group: 'kubevirt.io', version: 'v1', plural: 'virtualmachines' }
const rows: readonly [path: string, found: ResourcePath | undefined][] = [
  ['/api/v1/pods', { ...core, plural: 'pods' }],
  ['/api/v1/namespaces', { ...core, plural: 'namespaces' }],
  ['/api/v1/namespaces/ns', { ...core, plural: 'namespaces', name: 'ns' }],
  ['/api/v1/namespaces/ns/status', { ...core, plural: 'namespaces', name: 'ns', subresource: 'status' }],
  ['/api/v1/namespaces/ns/finalize', { ...core, plural: 'namespaces', name: 'ns', subresource: 'finalize' }],
  ['/api/v1/namespaces/ns/pods', { ...core, plural: 'pods', namespace: 'ns' }],
  ['/api/v1/namespaces/ns/pods/p', { ...core, plural: 'pods', namespace: 'ns', name: 'p' }],
  ['/api/v1/namespaces/ns/pods/status', { ...core, plural: 'pods', namespace: 'ns', name: 'status' }],
  ['/api/v1/namespaces/status/pods/p', { ...core, plural: 'pods', namespace: 'status', name: 'p' }],
  [
    '/apis/kubevirt.io/v1/namespaces/ns/virtualmachines/x/status',
    { ...kubevirt, namespace: 'ns', name: 'x', subresource: 'status' },
  ],
  ['/apis/kubevirt.io/v1/virtualmachines/', kubevirt],
  ['//apis//kubevirt.io/v1/virtualmachines', kubevirt],
  ['/api/v1/namespaces/a%2Fb/pods', { ...core, plural: 'pods', namespace: 'a/b' }],
  ['/api/v1/nodes/%C3%A9', { ...core, plural: 'nodes', name: 'é' }],
  ['/api/v1', undefined],
  ['/apis/kubevirt.io/v1', undefined],
  ['/apis', undefined],
  ['/', undefined],
  ['', undefined],
  ['/healthz', undefined],
  ['/api/v1/namespaces/ns/pods/p/status/more', undefined],
]
for (const [path, found] of rows)
  test(`the path ${path || '(empty)'} names ${found ? JSON.stringify(found) : 'no resource'}`, () => {
    assert.deepEqual(parseResourcePath(path), found)
  })

for (const path of ['/api/v1/pods/%', '/api/v1/pods/%zz', '/api/v1/pods/%ff', '/%c0%80'])
  test(`the broken escape in ${path} is the client’s fault`, async () => {
    assert.equal((await faultIn(() => parseResourcePath(path))).kind, 'BadRequest')
  })

test('no path at all makes the parser throw anything but BadRequest', () => {
  const part = fc.oneof(
    fc.constantFrom('api', 'apis', 'v1', 'namespaces', 'status', '', '..', '.', '%', '%2F', '%00', '%ff', '__proto__'),
    fc.string({ unit: 'binary', maxLength: 5 }),
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 9 }), (parts) => {
      try {
        const found = parseResourcePath(`/${parts.join('/')}`)
        assert.ok(found === undefined || found.plural)
      } catch (error) {
        assert.ok(error instanceof Fault && error.kind === 'BadRequest', String(error))
      }
    }),
    { numRuns: 1000 },
  )
})
