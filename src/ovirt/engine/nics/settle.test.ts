import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import type { Client } from '#machinery/client/client.ts'
import type { EngineNic } from './nic.ts'
import { settled } from './settle.ts'

type VMI = Stored<VirtualMachineInstance>

const key = { namespace: 'default', name: 'vm1' }
const nic = { interface: 'red', linked: false, profile: undefined } as unknown as EngineNic

/** An instance whose interface is up, and of which its node says what it cannot do. */
function instance(...sentences: readonly string[]): VMI {
  const conditions = sentences.length ? [{ type: 'Synchronized', status: 'False', message: sentences.join('; ') }] : []
  return {
    metadata: key,
    spec: { domain: { devices: {} } },
    status: { interfaces: [{ name: 'red', infoSource: 'domain', linkState: 'up' }], conditions },
  } as unknown as VMI
}

/** How a wait for a link that is to go down ends, over an instance as it is and as it becomes. */
function wait(earlier: VMI, now: VMI, ...later: readonly VMI[]) {
  const client = {
    list: async () => ({ items: [now], resourceVersion: '1' }),
    async *watch() {
      yield later.map((object) => ({ type: 'MODIFIED', object }))
      // An instance that is gone ends the wait, so that none of these is endless.
      yield [{ type: 'DELETED', object: now }]
    },
  } as unknown as Client
  return settled(client, earlier, { interface: 'red', nic }, new AbortController().signal)
}

const refused = 'libvirt refused'

describe('waiting for a guest', () => {
  it('ends when its node has said that it cannot, even before anybody looked', async () => {
    assert.deepEqual(await wait(instance(), instance(refused)), { is: 'failed', why: refused })
    const own = 'interface "red" cannot be unplugged: no'
    assert.deepEqual(await wait(instance(), instance(), instance(own)), { is: 'failed', why: own })
  })

  it('goes on while there is only what was wrong before', async () => {
    assert.deepEqual(await wait(instance(refused), instance(refused)), { is: 'done' })
    assert.deepEqual(await wait(instance(refused), instance(refused), instance('another')), {
      is: 'failed',
      why: 'another',
    })
  })

  it('goes on over what other interfaces and networks that were left suffer from', async () => {
    const others = ['interface "blue" cannot be plugged: no', 'a network that was left cannot be given back: no']
    assert.deepEqual(await wait(instance(), instance(...others)), { is: 'done' })
    const [blue = '', left = ''] = others
    assert.deepEqual(await wait(instance(), instance(refused, blue, left)), { is: 'failed', why: refused })
  })
})
