import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { Fault } from '#base/fault.ts'
import type { DiskImage } from '../ports.ts'
import { withFailure } from './backoff.ts'
import type { Observation } from './observation.ts'
import { imageDepends, planVolumes, type SeenVolumes } from './volumes.ts'

const image: DiskImage = { digest: 'd', format: 'qcow2', virtualBytes: 2 ** 30 }
const objects = { secret: () => undefined, configMap: () => undefined, claim: () => undefined }

function vmi(policy = 'IfNotPresent', volumes: object[] = []): VirtualMachineInstance {
  const all = [{ name: 'root', containerDisk: { image: 'debian:12', imagePullPolicy: policy } }, ...volumes] as never[]
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'x', namespace: 'ns' },
    spec: { domain: { devices: { disks: all.map(({ name }) => ({ name })) } }, volumes: all },
  }
}
const wanted = { volume: 'root', reference: 'debian:12', policy: 'IfNotPresent' } as const

function plan(of: VirtualMachineInstance, volumes: Partial<SeenVolumes> | undefined, failed = 0, nowMs = 1000) {
  const cause = new Fault('Unavailable', 'The registry does not answer')
  let failures: Observation['failures'] = new Map()
  for (let i = 0; i < failed; i++)
    failures = withFailure(failures, 'image of root', { depends: imageDepends(wanted), cause, nowMs: 1000 })
  const seen = volumes && { objects, images: new Map(), pulling: new Set<string>(), ...volumes }
  return planVolumes({ ...(seen && { volumes: seen }), failures, nowMs } as unknown as Observation, of)
}

test('a guest without volumes waits for nothing', () => assert.deepEqual(plan(vmi(), undefined), { files: new Map() }))

test('an image that is not here is pulled, and waited for while it comes', () => {
  assert.deepEqual(plan(vmi(), {}), {
    steps: [{ do: 'pull', wanted, pull: { reference: 'debian:12', isAlways: false } }],
  })
  assert.deepEqual(plan(vmi(), { pulling: new Set(['root']) }), { waits: true })
  const files = plan(vmi(), { images: new Map([['root', image]]) })
  assert.deepEqual('files' in files && [...files.files], [
    ['root', { is: 'overlay', digest: 'd', format: 'qcow2', bytes: 2 ** 30 }],
  ])
})

test('a pull that failed is tried again after a while, which the instance says', () => {
  const first = plan(vmi(), {}, 1)
  assert.deepEqual('failure' in first && [first.failure.reason, first.failure.message], [
    'ErrImagePull',
    'Failed to pull image "debian:12": The registry does not answer',
  ])
  const second = plan(vmi(), {}, 2)
  assert.deepEqual('failure' in second && [second.failure.reason, second.againAfterMs], ['ImagePullBackOff', 500])
  assert.ok('steps' in plan(vmi(), {}, 2, 1501))
})

test('an image that is never pulled is named', () => {
  const seen = plan(vmi('Never'), {})
  assert.match('failure' in seen ? seen.failure.message : '', /"debian:12" is not present with pull policy of Never/)
})

test('what another volume lacks does not keep an image from being pulled; then it is named', () => {
  const of = vmi('IfNotPresent', [{ name: 'seed', cloudInitNoCloud: { secretRef: { name: 's' } } }])
  assert.ok('steps' in plan(of, {}))
  const seen = plan(of, { images: new Map([['root', image]]) })
  assert.deepEqual('failure' in seen && seen.failure, {
    reason: 'FailedMount',
    message: 'volume "seed": secret "s" not found',
    event: 'FailedMount',
  })
})

test('a claim that does not exist is waited for, in the words of KubeVirt', () => {
  const seen = plan(vmi('IfNotPresent', [{ name: 'data', persistentVolumeClaim: { claimName: 'c' } }]), {
    images: new Map([['root', image]]),
  })
  assert.deepEqual('failure' in seen && [seen.failure.reason, seen.failure.message], [
    'FailedPvcNotFound',
    'PVC ns/c does not exist, waiting for it to appear',
  ])
})
