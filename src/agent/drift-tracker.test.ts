import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { linkDriftAnnotation } from '#core/nic/drift.ts'
import type { Nic } from '#core/nic/nic.ts'
import { DriftTracker } from './drift-tracker.ts'

type Link = 'up' | 'down'
const nic = (name: string, link: Link): Nic => ({
  name,
  link,
  mac: '02:00:00:00:00:01',
  model: 'virtio',
  binding: 'bridge',
  network: 'default/red',
})
const red = (link: Link) => [nic('red', link)]
const vmi = (status: Link, { report = false, drifted = false } = {}) =>
  ({
    metadata: { name: 'a', ...(report && { annotations: { [linkDriftAnnotation]: 'report' } }) },
    status: {
      interfaces: [{ name: 'red', linkState: status }],
      conditions: drifted ? [{ type: 'LinkDrift', status: 'True' }] : [],
    },
  }) as unknown as VirtualMachineInstance
const drift = (declared: Link, found: Link) => ({ nic: 'red', declared, found })

test('a link that changed away from what is declared is drift, told once', () => {
  const links = new DriftTracker()
  assert.deepEqual(links.judge('u', vmi('up'), red('up'), red('up')), { fresh: [], kept: [] })
  assert.deepEqual(links.judge('u', vmi('up'), red('up'), red('down')), { fresh: [drift('up', 'down')], kept: [] })
  assert.deepEqual(links.judge('u', vmi('up'), red('up'), red('down')), { fresh: [], kept: [] })
})

test('a link whose owner declared something new is no drift', () => {
  const links = new DriftTracker()
  links.judge('u', vmi('up'), red('up'), red('up'))
  assert.deepEqual(links.judge('u', vmi('up'), red('down'), red('up')), { fresh: [], kept: [] })
  assert.deepEqual(links.judge('u', vmi('up'), red('down'), red('down')), { fresh: [], kept: [] })
  // The owner changes their mind before the status of the first change is known here.
  assert.deepEqual(links.judge('u', vmi('up'), red('up'), red('down')), { fresh: [], kept: [] })
})

test('a new process begins with what the status says', () => {
  assert.deepEqual(new DriftTracker().judge('u', vmi('up'), red('up'), red('down')).fresh, [drift('up', 'down')])
  assert.deepEqual(new DriftTracker().judge('u', vmi('down'), red('up'), red('down')).fresh, [])
  assert.deepEqual(
    new DriftTracker().judge('u', { metadata: { name: 'a' } } as never, red('up'), red('down')).fresh,
    [],
  )
})

test('with report only, a drifted link stays until its owner declares what was found', () => {
  const links = new DriftTracker()
  const own = vmi('up', { report: true })
  links.judge('u', own, red('up'), red('up'))
  const found = { fresh: [drift('up', 'down')], kept: [drift('up', 'down')] }
  assert.deepEqual(links.judge('u', own, red('up'), red('down')), found)
  assert.deepEqual(links.judge('u', own, red('up'), red('down')), { ...found, fresh: [] })
  // Also over a restart of this process.
  const again = new DriftTracker()
  assert.deepEqual(
    again.judge('u', vmi('down', { report: true, drifted: true }), red('up'), red('down')).kept,
    found.kept,
  )
  // Declaring what was found ends it; what is declared after that is carried out.
  assert.deepEqual(again.judge('u', own, red('down'), red('down')), { fresh: [], kept: [] })
  assert.deepEqual(again.judge('u', own, red('up'), red('down')), { fresh: [], kept: [] })
  // So does taking the annotation away.
  assert.deepEqual(links.judge('u', vmi('down', { drifted: true }), red('up'), red('down')), { fresh: [], kept: [] })
})

test('a wish that was taken back before anybody saw it is still a wish: the drifted link is set', () => {
  const links = new DriftTracker()
  const declaredIn = (generation: string) => {
    const one = vmi('down', { report: true })
    const annotations = { ...one.metadata.annotations, 'patchbay.dev/link-changed-in-generation': generation }
    return { ...one, metadata: { ...one.metadata, annotations } }
  }
  links.judge('u', declaredIn('3'), red('up'), red('up'))
  assert.equal(links.judge('u', declaredIn('3'), red('up'), red('down')).kept.length, 1)
  assert.deepEqual(links.judge('u', declaredIn('5'), red('up'), red('down')), { fresh: [], kept: [] })
})

test('a sandbox that is forgotten is judged anew', () => {
  const links = new DriftTracker()
  links.judge('u', vmi('up'), red('up'), red('up'))
  links.forget('u')
  assert.deepEqual(links.judge('u', vmi('down'), red('up'), red('down')).fresh, [])
})
