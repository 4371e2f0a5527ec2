import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { explain } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
import { startEtcd, type TestEtcd } from '#kit/machinery/etcd/etcd.ts'
import { createAuthority, issue } from '../rest/certificates.ts'
import { EtcdClient } from './client.ts'
import { type Method, methods, rangeRequest, txnRequest } from './messages.ts'
import { message } from './wire.ts'

const key = Buffer.from('/a')
const refusalOf = (work: Promise<unknown>) => work.then(() => 'none', explain)
const range = (client: EtcdClient) => client.call(methods.range, rangeRequest({ key }))
const put = (client: EtcdClient, value: Buffer) =>
  client.call(methods.txn, txnRequest({ expect: [], success: [{ put: key, value }], failure: [] }))

function clientOf(t: TestContext, options: ConstructorParameters<typeof EtcdClient>[0]): EtcdClient {
  const client = new EtcdClient(options)
  t.after(() => client.close())
  return client
}

/** Makes `root` and `patchbay` users of an etcd, the latter with all that Patchbay needs, and switches checking on. */
async function enableAuth(t: TestContext, { endpoints }: TestEtcd): Promise<void> {
  const admin = clientOf(t, { endpoints })
  const auth = async (name: string, ...fields: Parameters<typeof message>) => {
    const method: Method<Buffer> = { path: `/etcdserverpb.Auth/${name}`, read: (answer) => answer }
    await admin.call(method, message(...fields))
  }
  for (const user of ['root', 'patchbay']) await auth('UserAdd', [1, user], [2, `secret of ${user}`])
  await auth('RoleAdd', [1, 'root'])
  await auth('UserGrantRole', [1, 'root'], [2, 'root'])
  await auth('RoleAdd', [1, 'patchbay'])
  // Permission 0 is to read, 2 to read and write.
  await auth('RoleGrantPermission', [1, 'patchbay'], [2, message([2, Buffer.of(0)], [3, Buffer.of(0)])])
  await auth('RoleGrantPermission', [1, 'patchbay'], [2, message([1, 2], [2, '/a'], [3, '/b'])])
  await auth('UserGrantRole', [1, 'patchbay'], [2, 'patchbay'])
  await auth('AuthEnable')
}

describe('A client of etcd', { timeout: 120_000 }, () => {
  it('signs in with a client certificate, and is refused without', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'patchbay-etcd-tls-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const authority = await createAuthority('etcd of a test')
    // A member is a client of its own, too, and shows the same certificate.
    const pair = await issue(authority, { use: 'server', names: ['127.0.0.1'] })
    const user = await issue(authority, { use: 'client', name: 'patchbay', groups: [] })
    const files = { 'ca.pem': authority.cert, 'cert.pem': pair.cert, 'key.pem': pair.key }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    const flags = ['--cert-file', `${folder}/cert.pem`, '--key-file', `${folder}/key.pem`]
    const tls = { ca: authority.cert, ...user }
    const etcd = await startEtcd({
      tls,
      flags: [...flags, '--client-cert-auth', '--trusted-ca-file', `${folder}/ca.pem`],
    })
    t.after(() => etcd.stop())
    const { endpoints } = etcd
    await put(clientOf(t, { endpoints, tls }), Buffer.from('1'))
    for (const other of [{ ca: authority.cert }, user]) {
      const client = clientOf(t, { endpoints, tls: other })
      assert.match(
        await refusalOf(client.call(methods.range, rangeRequest({ key }), 2000)),
        /^etcd at https:.* (cannot be reached|broke the connection off)/,
      )
    }
  })

  it('signs in as a user, and again when its token is no longer known', async (t) => {
    const etcd = await startEtcd()
    t.after(() => etcd.stop())
    await enableAuth(t, etcd)
    const { endpoints } = etcd
    const user = { name: 'patchbay', password: 'secret of patchbay' }
    const client = clientOf(t, { endpoints, user })
    await put(client, Buffer.from('1'))
    const [member] = etcd.members
    member?.kill('SIGKILL')
    await eventually(
      'it is gone',
      async () => (await refusalOf(client.once(methods.range, rangeRequest({ key })))) !== 'none',
    )
    member?.restart()
    await eventually('it is back', async () => (await range(client)).kvs.length === 1)
    await put(client, Buffer.from('2'))

    const anonymous = clientOf(t, { endpoints })
    assert.match(await refusalOf(range(anonymous)), /wants a user: give --etcd-user and --etcd-password-file/)
    const wrong = clientOf(t, { endpoints, user: { ...user, password: 'guessed' } })
    assert.match(await refusalOf(range(wrong)), /does not know the user of --etcd-user with this password/)
    const elsewhere = txnRequest({ expect: [], success: [{ put: Buffer.from('/c'), value: key }], failure: [] })
    assert.match(
      await refusalOf(client.call(methods.txn, elsewhere, 2000)),
      /refuses its user: grant it to read all keys/,
    )
  })

  it('reads a value that comes in many pieces, and joins the fragments of a watch', async (t) => {
    const etcd = await startEtcd({ flags: ['--max-request-bytes', String(8 * 1024 * 1024)] })
    t.after(() => etcd.stop())
    const client = clientOf(t, { endpoints: etcd.endpoints })
    const value = Buffer.alloc(5 * 1024 * 1024, 'large')
    // Two keys in one transaction are of one revision, and larger together than a message of a watch may be.
    const other = Buffer.from('/b')
    const success = [key, other].map((put) => ({ put, value: value.subarray(0, 1_900_000) }))
    const { revision } = await client.call(methods.txn, txnRequest({ expect: [], success, failure: [] }))
    const last = await put(client, value)
    assert.ok((await range(client)).kvs[0]?.value.equals(value))
    const stop = new AbortController()
    const seen: [revision: number, events: number][] = []
    for await (const batch of client.watch({ key: Buffer.of(0), end: Buffer.of(0) }, revision - 1, stop.signal)) {
      for (const at of new Set(batch.events.map(({ kv }) => kv.modRevision)))
        seen.push([at, batch.events.filter(({ kv }) => kv.modRevision === at).length])
      if (batch.revision >= last.revision) stop.abort()
    }
    assert.deepEqual(seen, [
      [revision, 2],
      [last.revision, 1],
    ])
  })
})
