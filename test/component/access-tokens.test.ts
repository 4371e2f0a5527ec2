import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { Stage } from '../../tools/stage/stage.ts'
import type { Any } from './api.ts'
import { type Cluster, type Ground, makeGround, startOn } from './cluster.ts'
import { Kubectl, noKubectl } from './kubectl.ts'
import { makeNamespace } from './manifests.ts'

const nameKey = 'kubernetes.io/service-account.name'
const uidKey = 'kubernetes.io/service-account.uid'

/** A Secret that asks for a token of a ServiceAccount. */
const tokenSecret = (name: string, account: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, annotations: { [nameKey]: account } },
  type: 'kubernetes.io/service-account-token',
})
const textOf = (data: string) => Buffer.from(data, 'base64').toString()
const secretsPath = (ns: string, name = '') => `/api/v1/namespaces/${ns}/secrets${name && `/${name}`}`
const isFilled = (secret: Any) => secret?.data?.token !== undefined

describe('a Secret that asks for a token of a ServiceAccount', { skip: noKubectl }, () => {
  let ground: Ground
  let cluster: Cluster
  let root: Kubectl
  before(async () => {
    ground = await makeGround()
    await start()
  })
  after(async () => {
    await cluster?.stop()
    await ground?.remove()
  })
  async function start(): Promise<void> {
    cluster = await startOn(ground)
    root = new Kubectl(cluster.dir, 'default')
  }

  /** Makes an account and such a Secret; resolves to what the Secret holds once it is filled. */
  async function open(account = 'bot') {
    const ns = await makeNamespace(cluster.api)
    await root.ok(`-n ${ns} create serviceaccount ${account}`)
    await root.ok(`-n ${ns} create -f -`, { input: tokenSecret('s', account) })
    const secret = await cluster.api.until('a token', secretsPath(ns, 's'), isFilled)
    return { ns, secret, token: textOf(secret.data.token), ca: textOf(secret.data['ca.crt']) }
  }
  /** kubectl with nothing but what a Secret holds. */
  async function bearing({ ns, token, ca }: Readonly<{ ns: string; token: string; ca: string }>) {
    const file = join(cluster.dir.root, `${ns}.crt`)
    await writeFile(file, ca)
    const bare = new Kubectl({ ...cluster.dir, kubeconfig: '/dev/null' }, ns)
    const flags = [
      `--server=https://127.0.0.1:${cluster.port}`,
      `--certificate-authority=${file}`,
      `--token=${token}`,
      ...['get', 'vm'],
    ]
    return (await bare.run(flags)).err
  }
  const refused = /You must be logged in to the server/
  const known = (ns: string) => new RegExp(`User "system:serviceaccount:${ns}:bot" cannot list`)

  it('gets one that signs in with what the Secret holds, and kubectl shows it', async () => {
    const opened = await open()
    const { ns, secret, token, ca } = opened
    assert.match(await bearing(opened), known(ns))
    assert.equal(ca, cluster.authority.cert)
    assert.equal(textOf(secret.data.namespace), ns)
    const account = JSON.parse(await root.ok(`-n ${ns} get serviceaccount bot -o json`))
    assert.equal(secret.metadata.annotations[uidKey], account.metadata.uid)
    const shown = await root.ok(`-n ${ns} describe secret s`)
    assert.ok(shown.split('\n').some((line) => /^token: +/.test(line) && line.endsWith(` ${token}`)))
    assert.match(shown, new RegExp(`${uidKey}: ${account.metadata.uid}`))
    assert.match(await root.ok(`-n ${ns} describe serviceaccount bot`), /^Tokens: +s$/m)
    const review = { spec: { token } }
    const { status } = await cluster.api.create('/apis/authentication.k8s.io/v1/tokenreviews', review)
    assert.deepEqual([status.authenticated, status.user.username], [true, `system:serviceaccount:${ns}:bot`])
    await root.ok(`-n ${ns} create rolebinding view --clusterrole=view --serviceaccount=${ns}:bot`)
    await eventually('the right to look', async () => /^No resources found/.test(await bearing(opened)))
  })

  it('ends it in the moment it is deleted, also if it is made again', async () => {
    const opened = await open()
    const { ns } = opened
    await root.ok(`-n ${ns} delete secret s`)
    assert.match(await bearing(opened), refused)
    await root.ok(`-n ${ns} create -f -`, { input: tokenSecret('s', 'bot') })
    const again = await cluster.api.until('another token', secretsPath(ns, 's'), isFilled)
    assert.match(await bearing(opened), refused)
    assert.match(await bearing({ ...opened, token: textOf(again.data.token) }), known(ns))
    const stolen = { ...tokenSecret('s', 'bot'), data: { token: Buffer.from(opened.token).toString('base64') } }
    await root.ok(`-n ${ns} replace -f -`, { input: stolen })
    assert.match(await bearing(opened), refused, 'another uid')
  })

  it('makes another when the token is taken out of it, and the old one ends', async () => {
    const opened = await open()
    const { ns } = opened
    await root.ok(`-n ${ns} patch secret s --type=json -p`, { more: ['[{"op":"remove","path":"/data/token"}]'] })
    assert.match(await bearing(opened), refused)
    const { data } = await cluster.api.until('another token', secretsPath(ns, 's'), isFilled)
    assert.match(await bearing({ ...opened, token: textOf(data.token) }), known(ns))
  })

  it('goes with its ServiceAccount, and the token ends in that moment', async () => {
    const opened = await open()
    const { ns } = opened
    await root.ok(`-n ${ns} delete serviceaccount bot`)
    assert.match(await bearing(opened), refused)
    const isGone = async () => (await cluster.api.send('GET', secretsPath(ns, 's'))).code === 404
    await eventually('the Secret is gone', isGone)
    await root.ok(`-n ${ns} create serviceaccount bot`)
    assert.match(await bearing(opened), refused)
    await root.ok(`-n ${ns} create -f -`, { input: tokenSecret('s', 'nobody') })
    await eventually('one of nobody is taken and removed', isGone)
  })

  it('is a Secret of its namespace, which only those get one in who may create Secrets there', async () => {
    const { ns } = await open()
    const eve = await cluster.as('eve', [])
    const refusal = await eve.send('POST', secretsPath(ns), { body: tokenSecret('t', 'bot') })
    assert.deepEqual([refusal.code, refusal.json.reason], [403, 'Forbidden'])
    const body = { ...tokenSecret('t', 'bot'), metadata: { name: 't' } }
    const nameless = await cluster.api.send('POST', secretsPath(ns), { body })
    assert.equal(nameless.code, 422)
    assert.match(nameless.json.message, /service-account\.name\]: Required value/)
    const other = await makeNamespace(cluster.api)
    await cluster.api.create(secretsPath(other), tokenSecret('t', 'bot'))
    const isGone = async () => (await cluster.api.send('GET', secretsPath(other, 't'))).code === 404
    await eventually('an account of another namespace is none', isGone)
  })

  it('is as it was after a restart, and nothing of it is written again', async () => {
    const opened = await open()
    const { ns, secret } = opened
    await cluster.stop()
    await start()
    assert.match(await bearing(opened), known(ns))
    await cluster.api.create(secretsPath(ns), tokenSecret('later', 'bot'))
    await cluster.api.until('the controller works', secretsPath(ns, 'later'), isFilled)
    const { json } = await cluster.api.send('GET', secretsPath(ns, 's'))
    assert.equal(json.metadata.resourceVersion, secret.metadata.resourceVersion)
    assert.deepEqual(cluster.errors, [])
  })
})

it('a token that a Secret holds outlives kill -9 of the server', { skip: noKubectl, timeout: 300_000 }, async () => {
  await using stage = await Stage.open({ simulate: true })
  await stage.up()
  await stage.k('create', 'serviceaccount', 'bot')
  await stage.apply(tokenSecret('s', 'bot'))
  const token = () => stage.k('get', 'secret', 's', '-o', 'jsonpath={.data.token}')
  const held = textOf(await eventually('a token', token))
  const whose = async () => {
    const input = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token: held } }
    const { stdout } = await stage.kubectl(['create', '-o', 'json', '-f', '-'], JSON.stringify(input))
    return JSON.parse(stdout).status.user.username
  }
  assert.equal(await whose(), 'system:serviceaccount:default:bot')
  await stage.kill()
  await stage.up()
  assert.equal(await whose(), 'system:serviceaccount:default:bot')
  await stage.k('delete', 'secret', 's')
  assert.equal(await whose(), undefined)
})
