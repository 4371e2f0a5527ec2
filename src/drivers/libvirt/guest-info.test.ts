import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '#base/fault.ts'
import type { Json, JsonObject } from '#base/json.ts'
import { readGuestInfo } from './guest-info.ts'

const agentOf = (answers: Readonly<Record<string, Json>>) => async (command: JsonObject) => {
  const answer = answers[String(command.execute)]
  if (answer === undefined) throw new Fault('Unsupported', `no ${command.execute}`)
  return answer
}

test('a guest agent’s answers get KubeVirt’s names', async () => {
  const agent = agentOf({
    'guest-info': { version: '7.2.0', supported_commands: [] },
    'guest-get-osinfo': {
      'kernel-release': '6.1.0',
      'kernel-version': '#1 SMP',
      machine: 'x86_64',
      id: 'debian',
      'pretty-name': 'Debian 12',
      'version-id': '12',
      variant: 'x',
    },
    'guest-get-host-name': { 'host-name': 'a.example' },
    'guest-get-timezone': { zone: 'CET', offset: 3600 },
  })
  assert.deepEqual(await readGuestInfo(agent), {
    os: {
      kernelRelease: '6.1.0',
      kernelVersion: '#1 SMP',
      machine: 'x86_64',
      id: 'debian',
      prettyName: 'Debian 12',
      versionId: '12',
    },
    agent: { version: '7.2.0', hostname: 'a.example', timezone: 'CET, 3600' },
  })
})

test('a guest cannot fill the store with what it tells', async () => {
  const { agent } = await readGuestInfo(agentOf({ 'guest-get-host-name': { 'host-name': 'x'.repeat(1e6) } }))
  assert.equal(agent.hostname?.length, 256)
})

test('what an agent has no command for is left out; one that is gone is no answer', async () => {
  assert.deepEqual(await readGuestInfo(agentOf({ 'guest-info': { version: '2.0' } })), {
    os: {},
    agent: { version: '2.0' },
  })
  const gone = async () => {
    throw new Fault('Unavailable', 'gone')
  }
  await assert.rejects(readGuestInfo(gone), { kind: 'Unavailable' })
})
