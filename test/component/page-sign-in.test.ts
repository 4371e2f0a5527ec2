import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { setPassword } from '#bin/user.ts'
import { Peer } from '#kit/machinery/http/peer.ts'
import type { Any, Api } from './api.ts'
import { cli } from './cli-kit.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, run, vm } from './manifests.ts'

const codePath = '/ui/session/code'
const reviewPath = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
const bearing = (token: string) => ({ authorization: `Bearer ${token}` })

describe('signing a page in', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  const post = (api: Api, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    api.send('POST', path, { ...(body !== undefined && { body }), headers })
  const redeem = (code: unknown) => post(cluster.anonymous, '/ui/session', { code })
  const who = async (token: string) =>
    (await post(cluster.anonymous, reviewPath, { kind: 'SelfSubjectReview' }, bearing(token))).json.status.userInfo
  /** The token of a page of the one who sends by an API. */
  async function signIn(api: Api, headers: Record<string, string> = {}): Promise<Any> {
    const asked = await post(api, codePath, undefined, headers)
    assert.equal(asked.code, 201, asked.text)
    const { code, json } = await redeem(asked.json.code)
    assert.equal(code, 201)
    return json
  }
  async function accountIn(ns: string, name: string): Promise<string> {
    const path = `/api/v1/namespaces/${ns}/serviceaccounts`
    await cluster.api.create(path, { metadata: { name } })
    return (await cluster.api.create(`${path}/${name}/token`, { spec: {} })).status.token
  }

  it('takes a code that works once, and makes the page exactly its user', async () => {
    const jane = await cluster.as('jane', ['admins', 'people'])
    const asked = await post(jane, codePath)
    assert.equal(asked.headers['cache-control'], 'no-store')
    const left = Date.parse(asked.json.expiresAt) - Date.now()
    assert.ok(left > 0 && left <= 60_000, asked.json.expiresAt)
    const { code, json, headers } = await redeem(asked.json.code)
    assert.equal(code, 201)
    assert.equal(headers['cache-control'], 'no-store')
    assert.match(String(headers['content-security-policy']), /default-src 'none'/)
    assert.equal(json.user, 'jane')
    assert.ok(Date.parse(json.expirationTimestamp) <= Date.now() + 3_600_000)
    const user = { username: 'jane', groups: ['admins', 'people', 'system:authenticated'] }
    assert.deepEqual(await who(json.token), user)
    const review = await cluster.api.create('/apis/authentication.k8s.io/v1/tokenreviews', {
      spec: { token: json.token },
    })
    assert.deepEqual([review.status.authenticated, review.status.user], [true, user])
    const again = await redeem(asked.json.code)
    assert.deepEqual([again.code, again.json.reason], [404, 'NotFound'])
    assert.match(again.json.message, /works once and for a minute; get another one with patchbay page/)
    const { endMs } = JSON.parse(Buffer.from(json.token.split('.')[1], 'base64url').toString())['patchbay.dev']
    assert.ok(endMs > Date.now() + 11.9 * 3_600_000 && endMs <= Date.now() + 12 * 3_600_000, 'for a day’s work at most')
    const renewed = await post(cluster.anonymous, '/ui/session/renew', undefined, bearing(json.token))
    assert.equal(renewed.code, 201)
    assert.deepEqual(await who(renewed.json.token), user)
  })

  it('gives nobody a code who is not signed in, or is impersonated', async () => {
    const refused = await post(cluster.anonymous, codePath)
    assert.deepEqual([refused.code, refused.json.reason], [401, 'Unauthorized'])
    assert.match(refused.json.message, /certificate or a token/)
    for (const headers of [{ 'impersonate-user': 'jane' }, { 'impersonate-group': 'admins' }] as Record<
      string,
      string
    >[]) {
      const { code, json } = await post(cluster.api, codePath, undefined, headers)
      assert.deepEqual([code, json.reason], [403, 'Forbidden'])
      assert.match(json.message, /not opened by way of impersonation/)
    }
    assert.equal((await post(cluster.anonymous, codePath, undefined, bearing('made-up'))).code, 401)
  })

  it('reads what is no code, and says what one is', async () => {
    for (const body of ['', 'x', '[]', '{}', '{"code":1}']) {
      const { code, json } = await post(cluster.anonymous, '/ui/session', body)
      assert.deepEqual([code, json.reason], [400, 'BadRequest'], body)
    }
    assert.equal((await post(cluster.anonymous, '/ui/session', 'x'.repeat(5000))).code, 413)
    for (const path of [codePath, '/ui/session', '/ui/session/renew'])
      assert.equal((await cluster.api.send('GET', path)).code, 405, path)
    assert.equal((await post(cluster.api, '/ui/session/other')).code, 405)
  })

  it('renews the token of a page alone', async () => {
    const ns = await makeNamespace(cluster.api)
    const token = await accountIn(ns, 'bot')
    for (const headers of [{}, bearing(token), bearing('x')]) {
      const { code, json } = await post(cluster.api, '/ui/session/renew', undefined, headers)
      assert.deepEqual([code, json.reason], [401, 'Unauthorized'])
    }
  })

  it('ends with the ServiceAccount of its user, and a code of a page makes no longer session', async () => {
    const ns = await makeNamespace(cluster.api)
    const token = await accountIn(ns, 'bot')
    const { token: page, expirationTimestamp } = await signIn(cluster.anonymous, bearing(token))
    assert.equal((await who(page)).username, `system:serviceaccount:${ns}:bot`)
    const second = await signIn(cluster.anonymous, bearing(page))
    assert.ok(Date.parse(second.expirationTimestamp) <= Date.parse(expirationTimestamp))
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
    assert.ok(Date.parse(expirationTimestamp) <= exp * 1000, 'it outlives no token it was made with')
    await cluster.api.delete(`/api/v1/namespaces/${ns}/serviceaccounts/bot`)
    for (const one of [page, second.token]) {
      assert.equal((await post(cluster.anonymous, reviewPath, {}, bearing(one))).code, 401)
      assert.equal((await post(cluster.anonymous, '/ui/session/renew', undefined, bearing(one))).code, 401)
    }
  })

  it('ends with the password of its user, if there is one', async () => {
    const file = join(cluster.dir.root, 'password')
    await writeFile(file, 'secret')
    await setPassword({ dataDir: cluster.dir.root, name: 'ann', file })
    const { token } = await signIn(await cluster.as('ann', []))
    assert.equal((await who(token)).username, 'ann')
    const deleted = await cli(cluster, `user delete ann --data-dir ${cluster.dir.root}`)
    assert.equal(deleted.code, 0, deleted.err)
    assert.equal((await post(cluster.anonymous, reviewPath, {}, bearing(token))).code, 401)
  })

  it('lets a console of the page be opened', async () => {
    const ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a'))
    const { token } = await signIn(cluster.api)
    const bearer = `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`
    const path = `/apis/subresources.kubevirt.io/v1/namespaces/${ns}/virtualmachineinstances/a/console`
    const protocols = [bearer, 'plain.kubevirt.io']
    await using peer = await Peer.open(cluster.port, path, { ca: cluster.keys.ca }, { protocols })
    assert.equal(peer.socket.protocol, 'plain.kubevirt.io')
  })

  it('is in the audit log: who got a code, who redeemed it and from where, and what was refused', async () => {
    const joe = await cluster.as('joe', [])
    const { token } = await signIn(joe)
    await post(cluster.anonymous, '/ui/session/renew', undefined, bearing(token))
    const { headers } = await redeem('wrong')
    const lines = await eventually('lines', async () => {
      const all = (await readFile(cluster.dir.audit, 'utf8')).trimEnd().split('\n')
      return all.some((line) => line.includes(String(headers['audit-id']))) && all.map((line) => JSON.parse(line))
    })
    const of = (user: string) =>
      lines.filter((line: Any) => line.user === user).map(({ path, code, verb }: Any) => [verb, path, code])
    assert.deepEqual(of('joe'), [
      ['post', codePath, 201],
      ['post', '/ui/session', 201],
      ['post', '/ui/session/renew', 201],
    ])
    const refused = lines.find((line: Any) => line.id === headers['audit-id'])
    assert.deepEqual([refused.user, refused.path, refused.code], ['system:anonymous', '/ui/session', 404])
    assert.ok(!JSON.stringify(lines).includes(token))
  })

  it('patchbay page prints an address that signs in once', async () => {
    const { code, out, err } = await cli(cluster, 'page --print-url')
    assert.equal(code, 0, err)
    const [, server, given] = /^(https:\/\/127\.0\.0\.1:\d+)\/#code=([\w-]{43})\n$/.exec(out) ?? []
    assert.equal(server, `https://127.0.0.1:${cluster.port}`)
    assert.match(err, /It signs in once, until 20/)
    assert.equal((await redeem(given)).json.user, 'admin')
    assert.equal((await redeem(given)).code, 404)
  })

  it('patchbay page opens it in a browser, or says that there is none', async () => {
    const seen = join(cluster.dir.root, 'opened')
    const browser = join(cluster.dir.root, 'browser.sh')
    await writeFile(browser, `#!/bin/sh\nprintf %s "$1" >${seen}.new && mv ${seen}.new ${seen}\n`, { mode: 0o755 })
    const opened = await cli(cluster, 'page', { BROWSER: browser })
    assert.deepEqual(
      [opened.code, opened.out],
      [0, `The page of https://127.0.0.1:${cluster.port} opens in a browser\n`],
    )
    const url = await eventually('the browser', () => readFile(seen, 'utf8').catch(() => undefined))
    assert.match(url, /\/#code=[\w-]{43}$/)
    const none = await cli(cluster, 'page')
    assert.equal(none.code, 0)
    assert.match(none.out, /^https:.*#code=/)
    assert.match(none.err, /There is no browser to open/)
  })

  it('looks at no more codes of an address after ten wrong ones', async () => {
    const { json } = await post(cluster.api, codePath)
    let last = await redeem('wrong')
    for (let i = 0; i < 12 && last.code === 404; i++) last = await redeem('wrong')
    assert.deepEqual([last.code, last.json.reason], [429, 'TooManyRequests'])
    assert.match(last.json.message, /too many wrong codes from this address; try again in \d+ seconds/)
    assert.match(String(last.headers['retry-after']), /^\d+$/)
    assert.equal((await redeem(json.code)).code, 429)
  })
})
