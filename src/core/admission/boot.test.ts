import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { bootErrors } from './boot.ts'

const spec = (container: object): VmiSpec =>
  ({ domain: { devices: {}, firmware: { kernelBoot: { container } } } }) as unknown as VmiSpec

test('a guest boots from files of its image, and every path that leads out of it is refused by field', () => {
  for (const path of ['/vmlinuz', 'vmlinuz', '/boot/vmlinuz-6.1.0_x', 'a..b'])
    assert.deepEqual(bootErrors(spec({ image: 'demo-guest', kernelPath: path, initrdPath: path }), 'spec'), [], path)
  for (const path of [
    '',
    '/',
    '//x',
    '..',
    '/..',
    '../x',
    '/a/../../etc/shadow',
    'a/./b',
    './x',
    'a//b',
    'x\n',
    'x\0',
    'a b',
  ])
    assert.deepEqual(
      bootErrors(spec({ image: 'demo-guest', kernelPath: path, initrdPath: path }), 'spec').map(({ field }) => field),
      ['kernelPath', 'initrdPath'].map((name) => `spec.domain.firmware.kernelBoot.container.${name}`),
      JSON.stringify(path),
    )
  for (const image of ['../demo-guest', 'a/b', '..', '', 'A', `${'a'.repeat(64)}`])
    assert.equal(bootErrors(spec({ image }), 'spec').length, 1, image)
  assert.deepEqual(bootErrors({ domain: { devices: {} } } as unknown as VmiSpec, 'spec'), [])
})

test('the uuid of a guest is one', () => {
  const of = (uuid: string) => ({ domain: { devices: {}, firmware: { uuid } } }) as unknown as VmiSpec
  assert.deepEqual(bootErrors(of('5d307ca9-b3ef-428c-8861-06e72d69f223'), 'spec'), [])
  for (const bad of ['', 'nonsense', '5d307ca9b3ef428c886106e72d69f223', '5d307ca9-b3ef-428c-8861-06e72d69f22g'])
    assert.deepEqual(
      bootErrors(of(bad), 'spec').map(({ field }) => field),
      ['spec.domain.firmware.uuid'],
      bad,
    )
})
