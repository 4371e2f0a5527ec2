import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProbeSpec } from '#apis/kubevirt/probe.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { probeErrors } from '../admission/probes.ts'
import { firstState, nextState, probeOf } from './probe.ts'

const spec = (over: Partial<VmiSpec> = {}): VmiSpec => ({
  domain: { devices: { interfaces: [{ name: 'default', masquerade: {}, ports: [{ name: 'web', port: 8080 }] }] } },
  networks: [{ name: 'default', pod: {} }],
  ...over,
})

test('a probe has the defaults of Kubernetes, and ports may be named', () => {
  assert.deepEqual(probeOf({ tcpSocket: { port: 'web' } }, spec()), {
    check: { type: 'tcp', port: 8080 },
    initialDelayMs: 0,
    timeoutMs: 1000,
    periodMs: 10_000,
    successThreshold: 1,
    failureThreshold: 3,
  })
  assert.deepEqual(probeOf({ httpGet: { port: '80', scheme: 'HTTPS' } }, spec())?.check, {
    type: 'http',
    port: 80,
    path: '/',
    isSecure: true,
    headers: [],
  })
  assert.deepEqual(probeOf({ exec: { command: ['true'] } }, spec())?.check, { type: 'exec', command: ['true'] })
  assert.deepEqual(probeOf({ guestAgentPing: {} }, spec())?.check, { type: 'agent' })
  assert.equal(probeOf(undefined, spec()), undefined)
})

test('a guest counts as ill after so many failures in a row, and as well after so many successes', () => {
  const probe = probeOf({ guestAgentPing: {}, failureThreshold: 2, successThreshold: 3 }, spec())!
  const answers = (from: boolean, ...list: (string | undefined)[]) =>
    list.reduce((state, answer) => nextState(state, answer, probe), firstState(from))
  assert.equal(answers(true, 'a').isWell, true)
  assert.equal(answers(true, 'a', undefined, 'b').isWell, true)
  assert.deepEqual(answers(true, 'a', 'b'), { isWell: false, against: 0, message: 'b' })
  assert.equal(answers(false, undefined, undefined).isWell, false)
  assert.equal(answers(false, undefined, 'a', undefined, undefined).isWell, false)
  assert.equal(answers(false, undefined, undefined, undefined).isWell, true)
})

for (const [what, probe, message] of [
  [
    'no check',
    {},
    'either spec.readinessProbe.tcpSocket, spec.readinessProbe.exec or spec.readinessProbe.httpGet must be set if a spec.readinessProbe is specified',
  ],
  [
    'two checks',
    { guestAgentPing: {}, exec: { command: ['a'] } },
    'spec.readinessProbe must have exactly one probe type set',
  ],
  [
    'an unknown port name',
    { tcpSocket: { port: 'smtp' } },
    'spec.readinessProbe.tcpSocket.port must be a number from 1 to 65535, or the name of a port of an interface',
  ],
  [
    'a port out of range',
    { httpGet: { port: 70_000 } },
    'spec.readinessProbe.httpGet.port must be a number from 1 to 65535, or the name of a port of an interface',
  ],
  ['no command', { exec: { command: [] } }, 'must name a command'],
  ['a negative period', { guestAgentPing: {}, periodSeconds: -1 }, 'must be greater than or equal to 0'],
] as const)
  test(`a probe with ${what} is refused`, () => {
    const found = probeErrors(spec({ readinessProbe: probe as unknown as ProbeSpec }), 'spec')
    assert.deepEqual(
      found.map((error) => error.message),
      [message],
    )
  })

test('probes over the network need the pod network; a liveness probe needs one success', () => {
  const other = { networks: [{ name: 'default', multus: { networkName: 'a' } }] }
  const errors = probeErrors(spec({ ...other, livenessProbe: { tcpSocket: { port: 1 }, successThreshold: 2 } }), 'spec')
  assert.deepEqual(
    errors.map((error) => `${error.field}: ${error.message}`),
    [
      'spec.livenessProbe: spec.livenessProbe.tcpSocket is only allowed if the Pod Network is attached',
      'spec.livenessProbe.successThreshold: must be 1',
    ],
  )
  assert.deepEqual(probeErrors(spec({ readinessProbe: { tcpSocket: { port: 1 } } }), 'spec'), [])
})
