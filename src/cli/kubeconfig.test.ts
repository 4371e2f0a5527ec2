import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { dump } from 'js-yaml'
import { Fault } from '#base/fault.ts'
import { findTarget } from './kubeconfig.ts'

const pem = (name: string) => `-----BEGIN ${name}-----\n`
const base64 = (text: string) => Buffer.from(text).toString('base64')

type Parts = Readonly<{ cluster?: object; user?: object; context?: object; current?: string; name?: string }>

const config = ({ cluster = {}, user = {}, context = {}, current, name = 'x' }: Parts = {}) =>
  dump({
    clusters: [{ name, cluster: { server: `https://${name}:1`, ...cluster } }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name, ...context } }],
    'current-context': current ?? name,
  })

async function home(t: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), 'pb-kubeconfig-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const write = async (name: string, text: string) => {
    const path = join(dir, name)
    await mkdir(join(path, '..'), { recursive: true })
    await writeFile(path, text)
    return path
  }
  return { dir, write }
}

const refused = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => assert.fail('nothing was refused'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof Fault && error.kind === 'Invalid')
  return error.message
}

test('a kubeconfig is taken from the option, then KUBECONFIG, then home, then the data directory', async (t) => {
  const { dir, write } = await home(t)
  const server = async (kubeconfig?: string, more: object = {}) =>
    (await findTarget({ ...(kubeconfig && { kubeconfig }) }, { HOME: dir, ...more })).endpoint.server
  const PATCHBAY_DIR = join(dir, 'data')
  await write('data/kubeconfig', config({ name: 'data' }))
  assert.equal(await server(undefined, { PATCHBAY_DIR }), 'https://data:1')
  await write('.kube/config', config({ name: 'home' }))
  assert.equal(await server(undefined, { PATCHBAY_DIR }), 'https://home:1')
  const KUBECONFIG = await write('env', config({ name: 'env' }))
  assert.equal(await server(undefined, { KUBECONFIG, PATCHBAY_DIR }), 'https://env:1')
  assert.equal(await server(await write('option', config({ name: 'option' })), { KUBECONFIG }), 'https://option:1')
})

test('kubeconfigs in a list are laid over each other, the first wins, and missing ones do not matter', async (t) => {
  const { dir, write } = await home(t)
  const first = await write(
    '1',
    dump({ contexts: [{ name: 'both', context: { cluster: 'b', user: 'b', namespace: 'one' } }] }),
  )
  const second = await write(
    '2',
    config({ name: 'b', current: 'both', user: { token: 't' }, context: { namespace: 'two' } }),
  )
  const third = await write('3', config({ name: 'b', cluster: { server: 'https://other:1' }, current: 'b' }))
  const KUBECONFIG = [join(dir, 'none'), first, second, third, ''].join(':')
  assert.deepEqual(await findTarget({}, { KUBECONFIG }), {
    endpoint: { server: 'https://b:1', token: 't' },
    namespace: 'one',
  })
  assert.equal((await findTarget({ context: 'b' }, { KUBECONFIG })).namespace, 'two')
  assert.equal((await findTarget({ context: 'b', namespace: 'three' }, { KUBECONFIG })).namespace, 'three')
})

test('certificates, keys and tokens are inline or in files beside the kubeconfig', async (t) => {
  const { write } = await home(t)
  const ca = { 'certificate-authority-data': base64(pem('CA')), 'tls-server-name': 'patchbay' }
  const inline = { 'client-certificate-data': base64(pem('CERT')), 'client-key-data': base64(pem('KEY')) }
  const kubeconfig = await write('k', config({ cluster: ca, user: inline }))
  const wanted = { server: 'https://x:1', ca: pem('CA'), cert: pem('CERT'), key: pem('KEY'), serverName: 'patchbay' }
  assert.deepEqual(await findTarget({ kubeconfig }), { endpoint: wanted, namespace: 'default' })
  await write('pki/ca', pem('CA'))
  await write('pki/cert', pem('CERT'))
  await write('pki/token', 'from file\n')
  const files = await write(
    'f',
    config({
      cluster: { 'certificate-authority': 'pki/ca', 'insecure-skip-tls-verify': true },
      user: {
        'client-certificate': 'pki/cert',
        'client-key': await write('key', pem('KEY')),
        tokenFile: 'pki/token',
        token: 't',
      },
    }),
  )
  const { endpoint } = await findTarget({ kubeconfig: files })
  const { serverName: _, ...same } = wanted
  assert.deepEqual(endpoint, { ...same, token: 'from file', insecureSkipTlsVerify: true })
})

test('what is wrong with a kubeconfig is told with its file and what to do', async (t) => {
  const { dir, write } = await home(t)
  const none = join(dir, 'none')
  assert.equal(
    await refused(findTarget({ kubeconfig: none })),
    `Cannot read ${none}, which --kubeconfig names; correct it`,
  )
  assert.match(
    await refused(findTarget({}, { KUBECONFIG: none })),
    /^No kubeconfig is at .*none, as KUBECONFIG says; set it/,
  )
  const cases: readonly [text: string, message: RegExp, context?: string][] = [
    ['{', /^The kubeconfig F is not YAML$/],
    ['[]', /^The kubeconfig F is no object; name another with --kubeconfig$/],
    ['# nothing', /^The kubeconfig F has no current context; choose one with --context: none$/],
    [config({ current: '' }), /^The kubeconfig F has no current context; choose one with --context: x$/],
    [config(), /^The kubeconfig F has no context "y"; choose one with --context: x$/, 'y'],
    [config({ context: { cluster: 'y' } }), /^The kubeconfig F has no cluster "y", which its context names; add it or/],
    [config({ context: { user: 'y' } }), /^The kubeconfig F has no user "y", which its context names; add it or/],
    [
      config({ cluster: { server: 'http://x' } }),
      /^The kubeconfig F has no server with https:\/\/ but "http:\/\/x"; correct/,
    ],
    [
      config({ cluster: { 'certificate-authority-data': 'eA==' } }),
      /^The kubeconfig F has a certificate-authority-data that/,
    ],
    [
      config({ cluster: { 'certificate-authority': 'gone' } }),
      /^Cannot read D\/gone, which certificate-authority in the kubeconfig F names; correct it$/,
    ],
    [
      config({ user: { exec: { command: 'x' } } }),
      /^The kubeconfig F uses exec, which Patchbay cannot; use a client certificate/,
    ],
    [
      config({ user: { 'client-certificate-data': base64(pem('CERT')) } }),
      /^The kubeconfig F has a client certificate without its key$/,
    ],
  ]
  for (const [text, message, context] of cases) {
    const kubeconfig = await write('wrong', text)
    const told = await refused(findTarget({ kubeconfig, ...(context && { context }) }))
    assert.match(told.replaceAll(kubeconfig, 'F').replaceAll(dir, 'D'), message)
  }
})
