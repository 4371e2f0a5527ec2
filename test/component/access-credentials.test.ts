import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, running, vm } from './manifests.ts'

describe('credentials that the guest agent sets', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(async () => {
    const errors = cluster?.errors ?? []
    await cluster?.stop()
    assert.deepEqual(errors, [])
  })

  const secret = (name: string, stringData: Record<string, string>) => ({ metadata: { name }, stringData })
  const withCredentials = (manifest: Any, users: string[]) => {
    manifest.spec.template.spec.accessCredentials = [
      {
        sshPublicKey: { source: { secret: { secretName: 'keys' } }, propagationMethod: { qemuGuestAgent: { users } } },
      },
      { userPassword: { source: { secret: { secretName: 'words' } }, propagationMethod: { qemuGuestAgent: {} } } },
    ]
    return manifest
  }
  const synchronized = (vmi: Any) => condition(vmi, 'AccessCredentialsSynchronized')
  const uidOf = (vmi: Any) => Object.keys(vmi.status.activePods)[0] ?? ''

  it('are given to a running guest, and again when a Secret changes; no password is told of', async () => {
    const { api, sandboxes } = cluster
    const ns = await makeNamespace(api)
    const secrets = `/api/v1/namespaces/${ns}/secrets`
    await api.create(secrets, secret('keys', { one: 'ssh-ed25519 AAAA one' }))
    await api.create(secrets, secret('words', { joe: 'pa55-of-joe' }))
    await api.create(vmsPath(ns), withCredentials(vm('a'), ['joe', 'root']))
    const vmi = await running(api, ns, 'a')
    await api.until('synchronized', vmisPath(ns, 'a'), (one) => synchronized(one)?.status === 'True')
    const accounts = sandboxes.accounts(uidOf(vmi))
    assert.deepEqual(Object.fromEntries(accounts), {
      joe: { keys: ['ssh-ed25519 AAAA one'], password: 'pa55-of-joe' },
      root: { keys: ['ssh-ed25519 AAAA one'] },
    })
    await api.patch(`${secrets}/keys`, { stringData: { one: 'ssh-ed25519 BBBB two' } })
    await eventually('the new key', async () => accounts.get('root')?.keys[0] === 'ssh-ed25519 BBBB two')
    const events = await api.list(`/api/v1/namespaces/${ns}/events`)
    assert.ok(events.some(({ reason }) => reason === 'AccessCredentialsSyncSuccess'))
    assert.doesNotMatch(JSON.stringify([events, await api.get(vmisPath(ns, 'a'))]), /pa55|cGE1NS/)
  })

  it('that cannot be set are a condition and an Event, and tried again', async () => {
    const { api, sandboxes } = cluster
    const ns = await makeNamespace(api)
    const secrets = `/api/v1/namespaces/${ns}/secrets`
    await api.create(secrets, secret('keys', { one: 'k' }))
    await api.create(secrets, secret('words', { joe: 'x', missing: 'pa55' }))
    await api.create(vmsPath(ns), withCredentials(vm('a'), ['joe']))
    const vmi = await running(api, ns, 'a')
    const failed = await api.until('failed', vmisPath(ns, 'a'), (one) => synchronized(one)?.status === 'False')
    const message = 'password of user missing: There is no such user in the guest'
    assert.equal(synchronized(failed).message, message)
    // One that fails keeps no other from being set.
    assert.deepEqual(sandboxes.accounts(uidOf(vmi)).get('joe'), { keys: ['k'], password: 'x' })
    await eventually('its Event', async () =>
      (await api.list(`/api/v1/namespaces/${ns}/events`)).some(
        (one) => one.reason === 'AccessCredentialsSyncFailed' && one.message.endsWith(message),
      ),
    )
    await api.patch(`${secrets}/words`, { data: { missing: null } })
    await api.until('synchronized', vmisPath(ns, 'a'), (one) => synchronized(one)?.status === 'True')
  })
})
