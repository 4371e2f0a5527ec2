import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { connect } from 'node:tls'
import { startCli } from './cli-kit.ts'
import { type Engine, type EngineWorld, password, root, startEngine } from './engine.ts'

const tokenPath = '/ovirt-engine/sso/oauth/token'
const grant = (name: string, secret: string) =>
  new URLSearchParams({ grant_type: 'password', scope: 'ovirt-app-api', username: name, password: secret }).toString()

describe('signing in to oVirt’s API', () => {
  let world: EngineWorld
  let engine: Engine
  before(async () => {
    world = await startEngine()
    engine = world.engine
  })
  after(() => world?.stop())

  const bare = (method: string, path: string, headers: Record<string, string> = {}, body?: string) =>
    engine.api.send(method, path, {
      ...(body !== undefined && { body, type: 'application/x-www-form-urlencoded' }),
      headers,
    })
  const sso = (body: string, headers: Record<string, string> = { accept: 'application/json' }) =>
    bare('POST', tokenPath, headers, body)
  const as = (token: string) => bare('GET', root, { authorization: `Bearer ${token}`, accept: 'application/json' })

  it('T1: a request without credentials is challenged for Basic ones', async () => {
    const { code, headers, text } = await bare('GET', root)
    assert.deepEqual([code, headers['www-authenticate'], text], [401, 'Basic realm="RESTAPI"', ''])
  })

  it('T2: a token is given for a password, tells when it ends in milliseconds, and lets its bearer in', async () => {
    const { code, json, headers } = await sso(grant('admin@internal', password))
    assert.equal(code, 200)
    assert.match(headers['content-type'] ?? '', /^application\/json/)
    assert.equal(json.token_type, 'bearer')
    assert.match(json.scope, /\bovirt-app-api\b/)
    assert.match(json.exp, /^\d{13}$/)
    assert.ok(Number(json.exp) > Date.now())
    const {
      code: let_in,
      headers: of,
      text,
    } = await bare('GET', root, { authorization: `Bearer ${json.access_token}` })
    assert.equal(let_in, 200)
    assert.match(of['content-type'] ?? '', /^application\/xml/)
    assert.match(String(of.link), /<\/ovirt-engine\/api\/vms>; rel=vms,/)
    assert.match(text, /^<\?xml version="1.0" encoding="UTF-8" standalone="yes"\?>\n<api>\n/)
  })

  it('T3: a wrong password, an unknown user and another domain are refused in the same words', async () => {
    const refusals: [string, string, string][] = [
      ['admin@internal', 'wrong', 'admin@internal'],
      ['nobody@internal', 'wrong', 'nobody@internal'],
      ['admin@elsewhere', password, 'admin@elsewhere'],
      ['viewer@internal', password, 'viewer@internal'],
      ['nobody', 'wrong', 'nobody@N/A'],
    ]
    for (const [name, secret, shown] of refusals) {
      const { code, json } = await sso(grant(name, secret))
      const error = `Cannot authenticate user '${shown}': The username or password is incorrect..`
      assert.deepEqual([code, json], [400, { error_code: 'access_denied', error }], name)
    }
  })

  it('refuses other grants, and requests that take no JSON', async () => {
    const { code, json } = await sso('grant_type=client_credentials')
    assert.deepEqual([code, json.error_code], [400, 'unsupported_grant_type'])
    const other = await sso(grant('admin@internal', password), { accept: 'text/html' })
    assert.deepEqual([other.code, other.json.error_code], [400, 'invalid_request'])
  })

  it('T4: Basic credentials sign in by themselves, and JSON is answered to who asks for it', async () => {
    const { product_info } = await engine.get('')
    assert.deepEqual([product_info.name, product_info.version.major], ['oVirt Engine', '4'])
  })

  it('T5: a token ends with its logout, which anything may be given to', async () => {
    const { json } = await sso(grant('admin@internal', password))
    assert.equal((await as(json.access_token)).code, 200)
    for (const token of [json.access_token, '', 'unknown']) {
      const out = await bare('POST', '/ovirt-engine/services/sso-logout', {}, `scope=&token=${token}`)
      assert.deepEqual([out.code, out.json], [200, {}])
      assert.match(out.headers['content-type'] ?? '', /json/)
    }
    assert.equal((await as(json.access_token)).code, 401)
  })

  it('T6: the authority’s certificate is given to everybody, and the server’s verifies with it', async () => {
    const path = '/ovirt-engine/services/pki-resource'
    const { code, text, headers } = await bare('GET', `${path}?resource=ca-certificate&format=X509-PEM-CA`)
    assert.deepEqual([code, headers['content-type']], [200, 'application/x-x509-ca-cert'])
    const authority = new X509Certificate(text)
    assert.ok(authority.ca)
    const socket = connect({ host: '127.0.0.1', port: world.cluster.ovirtPort, ca: text })
    try {
      await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
      assert.ok(socket.authorized)
    } finally {
      socket.destroy()
    }
    assert.equal((await bare('GET', '/ca.crt')).text, text)
    for (const query of ['?resource=nothing', '?resource=ca-certificate&format=PKCS12'])
      assert.equal((await bare('GET', `${path}${query}`)).code, 400)
  })

  it('keeps a session by a cookie for clients that ask for one', async () => {
    const { headers, code } = await engine.send('GET', '', { headers: { prefer: 'persistent-auth' } })
    const [cookie = ''] = headers['set-cookie'] ?? []
    assert.equal(code, 200)
    assert.match(cookie, /^JSESSIONID=[\w-]+; Path=\/ovirt-engine\/api; Secure; HttpOnly/)
    const session = cookie.split(';')[0] ?? ''
    assert.equal((await bare('GET', root, { cookie: session })).code, 200)
    assert.equal((await bare('GET', root, { cookie: `${session}x` })).code, 401)
  })

  it('takes a token of Patchbay’s as an access token too', async () => {
    assert.equal((await as(password)).code, 200)
    assert.equal((await as('unknown')).code, 401)
  })

  it('looks at no more than some wrong passwords of a user from one address in a minute', async () => {
    for (let i = 0; i < 10; i++) await sso(grant('victim@internal', `wrong${i}`))
    const { code, json } = await sso(grant('victim@internal', 'wrong'))
    assert.equal(code, 400)
    assert.match(json.error, /too many failed sign-ins of this user; try again in \d+ seconds/)
    // Others are not held up by it.
    assert.equal((await sso(grant('admin@internal', password))).code, 200)
  })

  it('passwords are set, changed and taken by patchbay user, and sessions end with them', async () => {
    const { cluster } = world
    const file = join(cluster.dir.root, 'password')
    const user = async (...args: string[]) => {
      const { code, out, err } = await startCli(cluster, ['user', ...args, '--data-dir', cluster.dir.root]).ended
      return { code, said: `${out}${err}` }
    }
    await writeFile(file, 'first one\n')
    const made = await user('create', 'jane', '--group', 'system:masters', '--password-file', file)
    assert.equal(made.code, 0, made.said)
    assert.match(made.said, /User jane@internal signs in to oVirt’s API with the password/)
    const { json } = await sso(grant('jane@internal', 'first one'))
    assert.equal((await as(json.access_token)).code, 200)
    const secrets = await cluster.api.list('/api/v1/namespaces/kube-system/secrets')
    const kept = secrets.find(({ type }) => type === 'patchbay.dev/user-password')
    assert.ok(!JSON.stringify(kept).includes(Buffer.from('first one').toString('base64')))

    await writeFile(file, 'second one')
    assert.equal((await user('password', 'jane', '--password-file', file)).code, 0)
    assert.equal((await as(json.access_token)).code, 401)
    assert.equal((await sso(grant('jane@internal', 'first one'))).code, 400)
    const { json: again } = await sso(grant('jane@internal', 'second one'))
    // The groups are those that the user was made with.
    assert.equal((await as(again.access_token)).code, 200)
    const basic = { authorization: `Basic ${Buffer.from('jane@internal:second one').toString('base64')}` }
    assert.equal((await bare('GET', root, basic)).code, 200)

    assert.match((await user('delete', 'jane')).said, /User jane@internal has no password any more/)
    assert.equal((await as(again.access_token)).code, 401)
    assert.equal((await bare('GET', root, basic)).code, 401)
    assert.match((await user('delete', 'jane')).said, /had no password/)
    await writeFile(file, '\n')
    const empty = await user('create', 'john', '--password-file', file)
    assert.deepEqual([empty.code, /has no password in it/.test(empty.said)], [2, true])
  })

  it('a token of a ServiceAccount is a password of its short name', async () => {
    const { api } = world.cluster
    const accounts = '/api/v1/namespaces/default/serviceaccounts'
    await api.create(accounts, { metadata: { name: 'bot' } })
    const { status } = await api.create(`${accounts}/bot/token`, { spec: {} })
    for (const name of ['bot@internal', 'system:serviceaccount:default:bot@internal'])
      assert.equal((await sso(grant(name, status.token))).code, 200, name)
    assert.equal((await sso(grant('other@internal', status.token))).code, 400)
    const { json } = await sso(grant('bot@internal', status.token))
    await api.delete(`${accounts}/bot`)
    assert.equal((await as(json.access_token)).code, 401)
  })

  it('speaks HTTP/1.1 alone', async () => {
    const socket = connect({
      host: '127.0.0.1',
      port: world.cluster.ovirtPort,
      ca: world.cluster.authority.cert,
      ALPNProtocols: ['h2', 'http/1.1'],
    })
    try {
      await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
      assert.notEqual(socket.alpnProtocol, 'h2')
    } finally {
      socket.destroy()
    }
  })

  it('answers a GET that announces a body it does not send, and closes', async () => {
    const socket = connect({ host: '127.0.0.1', port: world.cluster.ovirtPort, ca: world.cluster.authority.cert })
    const login = Buffer.from(`admin@internal:${password}`).toString('base64')
    socket.write(`GET ${root} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${login}\r\nContent-Length: 17\r\n\r\n`)
    let text = ''
    socket.setEncoding('utf8')
    // Ends because the server closes the connection.
    for await (const chunk of socket) text += chunk
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/)
    assert.match(text, /\r\nconnection: close\r\n/i)
    assert.match(text, /<\/api>\n$/)
  })

  it('meets no bug of the server', () => assert.deepEqual(world.cluster.errors, []))
})
