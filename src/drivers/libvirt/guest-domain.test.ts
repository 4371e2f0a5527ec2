import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '#base/fault.ts'
import { domainState, GuestDomain, type GuestFiles } from './guest-domain.ts'
import { DomainHandle } from './handle.ts'
import type { Libvirt } from './rpc/libvirt.ts'
import type { StateAndReason } from './rpc/states.ts'

const idle = "<domstatus state='paused'><job type='none' async='none'/></domstatus>"
const arriving = "<domstatus state='paused'><job type='none' async='migration in' phase='finish3'/></domstatus>"

const cases: readonly [state: StateAndReason['state'], reason: string, file: string, is: string][] = [
  ['running', 'booted', idle, 'running'],
  ['running', 'migrated', idle, 'running'],
  ['blocked', 'unknown', idle, 'running'],
  ['paused', 'user', idle, 'paused'],
  ['paused', 'ioError', idle, 'paused'],
  ['paused', 'startingUp', idle, 'moving'],
  ['paused', 'migration', idle, 'moving'],
  // It has arrived, but a libvirtd that died now would not know that.
  ['paused', 'user', arriving, 'moving'],
  ['paused', 'user', '', 'moving'],
  // libvirt lists a guest before it has started it and while it takes it down: neither runs.
  ['shutoff', 'unknown', '', 'moving'],
  ['shutoff', 'migrated', idle, 'moving'],
  ['none', 'unknown', '', 'moving'],
  ['shutdown', 'user', idle, 'shutting-down'],
]
for (const [state, reason, file, is] of cases)
  test(`a domain that is ${state} (${reason}) ${file ? `with ${/async='[^']*'/.exec(file)?.[0]}` : 'without a file'} is ${is}`, () =>
    assert.equal(domainState({ state, reason }, file), is))

/** A guest whose libvirtd has the domains of a list, and what it was asked. */
function observed(uuids: string[]) {
  const asked: string[] = []
  const xml = (uuid: string) => {
    if (!uuids.includes(uuid)) throw new Fault('NotFound', 'no domain')
    return `<domain><uuid>${uuid}</uuid><devices/></domain>`
  }
  const libvirt: Pick<Libvirt, 'listDomains' | 'getXml' | 'getState'> = {
    listDomains: async () => {
      asked.push('list')
      return uuids.map((uuid, id) => ({ name: 'vm', uuid, id }))
    },
    getXml: async ({ uuid }) => {
      asked.push('xml')
      return xml(uuid)
    },
    getState: async () => ({ state: 'running', reason: 'booted' }),
  }
  const domain = new GuestDomain(new DomainHandle(libvirt as Libvirt, 'u1'), {
    ...{ dir: '/nowhere', accelerator: 'tcg', attachments: new Map(), onObserve: () => undefined },
    ...{ provideImage: async () => undefined, onCreated: async () => undefined },
    files: {} as GuestFiles,
    devices: { ready: async () => '', idle: async () => undefined },
  })
  return { asked, uuid: async () => (await domain.observe(AbortSignal.timeout(1000)))?.uuid }
}

test('a guest that was found once is asked about at once, and looked for again when it is gone', async () => {
  const uuids = ['other', 'u1']
  const { asked, uuid } = observed(uuids)
  assert.equal(await uuid(), 'u1')
  assert.equal(await uuid(), 'u1')
  assert.deepEqual(asked.splice(0), ['list', 'xml', 'xml'])
  uuids.splice(1)
  assert.equal(await uuid(), undefined)
  assert.equal(await uuid(), undefined)
  assert.deepEqual(asked.splice(0), ['xml', 'list'])
  uuids.push('u1')
  assert.equal(await uuid(), 'u1')
})
