import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { fakeLibvirtd, frameBytes, type Incoming } from '#kit/drivers/libvirt/rpc/fake-libvirtd.ts'
import { int, struct } from './codec.ts'
import { connect } from './connection.ts'
import type { LibvirtEvent } from './events.ts'
import { openLibvirt } from './libvirt.ts'
import { Pool } from './pool.ts'
import { domain as domainCodec, procedures } from './procedures.ts'
import { program } from './wire.ts'

const { suspend } = procedures
const domain = { name: 'vm', uuid: '00112233-4455-6677-8899-aabbccddeeff', id: 1 }

describe('the pool', () => {
  it('opens workers as calls pile up, shares them at the limit, closes them when idle', async () => {
    const calls: Incoming[] = []
    await using fake = await fakeLibvirtd((call) => calls.push(call))
    const pool = new Pool(() => connect({ socketPath: fake.socketPath, log: silent, callTimeoutMs: 5000 }), 20)
    const results = Array.from({ length: 14 }, () => pool.call(suspend, { domain }, 'pause vm', {}))
    await eventually('three full connections', () => calls.length === 12)
    assert.equal(pool.size, 3)
    for (const call of calls.splice(0)) call.reply(suspend.result, undefined)
    await eventually('the rest', () => calls.length === 2)
    for (const call of calls) call.reply(suspend.result, undefined)
    await Promise.all(results)
    await eventually('idle workers are closed', () => pool.size === 0)
    assert.equal(fake.sockets.length, 3)
  })

  it('opens anew after a worker died, and after it could not be opened', async () => {
    let socketPath = '/nonexistent/s'
    await using fake = await fakeLibvirtd((call) =>
      fake.sockets.length === 1 ? call.socket.destroy() : call.reply(suspend.result, undefined),
    )
    const pool = new Pool(() => connect({ socketPath, log: silent, callTimeoutMs: 5000 }))
    await assert.rejects(pool.call(suspend, { domain }, 'pause vm', {}), { kind: 'Unavailable' })
    socketPath = fake.socketPath
    await assert.rejects(pool.call(suspend, { domain }, 'pause vm', {}), { kind: 'Unavailable' })
    await pool.call(suspend, { domain }, 'pause vm', {})
    pool.close()
    assert.equal(pool.size, 0)
  })
})

describe('a Libvirt', () => {
  it('delivers events as words and ignores messages nobody asked for', async () => {
    const lifecycle = struct({ callback: int, domain: domainCodec, event: int, detail: int })
    await using fake = await fakeLibvirtd((call) => call.reply(procedures.registerEvent.result, { callback: 1 }))
    const libvirt = await openLibvirt({ socketPath: fake.socketPath, log: silent, callTimeoutMs: 5000 })
    const events: LibvirtEvent[] = []
    const unsubscribe = libvirt.onEvent((event) => events.push(event))
    const header = { program: program.remote, type: 2, serial: 0, status: 0 }
    const send = (procedure: number, event: number, detail: number) =>
      fake.sockets[0]?.write(frameBytes({ ...header, procedure }, lifecycle, { callback: 0, domain, event, detail }))
    send(9999, 0, 0)
    send(318, 5, 1)
    send(318, 99, 99)
    await eventually('two events', () => events.length === 2)
    assert.deepEqual(events, [
      { type: 'lifecycle', domain, event: 'stopped', detail: 'destroyed' },
      { type: 'lifecycle', domain, event: 'unknown', detail: 'unknown' },
    ])
    unsubscribe()
    libvirt.close()
    await libvirt.closed
  })
})
