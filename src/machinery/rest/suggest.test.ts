import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { suggestion } from './suggest.ts'

const inner = 'spec.template.spec'
for (const [path, meant] of [
  ['template', 'spec.template'],
  ['runStrategy', 'spec.runStrategy'],
  ['sepc', 'spec'],
  ['spec.runStratgey', 'spec.runStrategy'],
  ['spec.runstrategy', 'spec.runStrategy'],
  ['spec.domain', `${inner}.domain`],
  [`${inner}.interfaces`, `${inner}.domain.devices.interfaces`],
  [`${inner}.network`, `${inner}.networks`],
  [`${inner}.runStrategy`, 'spec.runStrategy'],
  [`${inner}.domain.devices.interfaces[3].stat`, `${inner}.domain.devices.interfaces[3].state`],
  ['metadata.lables', 'metadata.labels'],
  ['metadata.x', undefined],
  ['spec.somethingElse', undefined],
  ['x', undefined],
  ['spec.x.y.z', undefined],
  ['__proto__', undefined],
] as const)
  test(`suggestion: ${path} means ${meant ?? 'nothing we know'}`, () => {
    assert.equal(suggestion(VirtualMachine.schema, path), meant)
  })
