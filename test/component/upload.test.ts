import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { delay } from '#base/wait.ts'
import type { Any } from './api.ts'
import { cli } from './cli-kit.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace } from './manifests.ts'
import { claimsPath, dataVolume, dataVolumesPath } from './volumes.ts'

const tokensPath = (ns: string) => `/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/${ns}/uploadtokenrequests`

describe('an upload', () => {
  let cluster: Cluster
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pb-upload-'))
    cluster = await startCluster({ limits: { requestTimeoutMs: 1000 } })
  })
  after(async () => {
    const errors = cluster?.errors ?? []
    await cluster?.stop()
    await rm(folder, { recursive: true, force: true })
    assert.deepEqual(errors, [])
  })

  const begin = (token: string, method = 'POST', path = '/v1beta1/upload') => {
    const headers = { authorization: `Bearer ${token}` }
    const to = { host: '127.0.0.1', port: cluster.port, ca: cluster.keys.ca, agent: false, path, method, headers }
    const sending = request(to)
    const answer = new Promise<Readonly<{ code: number; text: string }>>((resolve, reject) => {
      sending.once('error', reject)
      sending.once('response', async (response: IncomingMessage) => {
        let text = ''
        for await (const chunk of response) text += chunk
        resolve({ code: response.statusCode ?? 0, text })
      })
    })
    return { sending, answer }
  }
  const send = (token: string, body: string, ...how: [method?: string, path?: string]) => {
    const { sending, answer } = begin(token, ...how)
    sending.end(body)
    return answer
  }
  const phase = (ns: string, name: string, wanted: string) =>
    cluster.api.until(`${name} is ${wanted}`, dataVolumesPath(ns, name), (one) => one?.status?.phase === wanted)
  const tokenFor = async (ns: string, name: string) =>
    (await cluster.api.create(tokensPath(ns), { spec: { pvcName: name } })).status.token
  /** A DataVolume that is ready for an upload, and a token for that. */
  const ready = async (name = 'root') => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(dataVolumesPath(ns), dataVolume(name, { upload: {} }))
    await phase(ns, name, 'UploadReady')
    return { ns, token: await tokenFor(ns, name) }
  }
  const uploaded = async (ns: string, name = 'root') =>
    cluster.volumes.uploads.get((await cluster.api.get(claimsPath(ns, name))).metadata.uid)

  it('with a token becomes the disk of its DataVolume, once', async () => {
    const { ns, token } = await ready()
    assert.equal((await send(token, '', 'HEAD', '/v1beta1/upload-async')).code, 200)
    assert.deepEqual(await send(token, 'a disk'), { code: 200, text: '' })
    await phase(ns, 'root', 'Succeeded')
    assert.equal(await uploaded(ns), 'a disk')
    assert.equal((await send(token, 'another disk')).code, 409)
    const events = (await cluster.api.list(`/api/v1/namespaces/${ns}/events`)).map(({ reason }) => reason)
    for (const reason of ['UploadScheduled', 'UploadReady', 'UploadSucceeded'])
      assert.ok(events.includes(reason), reason)
  })

  it('that is no disk, or breaks off, leaves nothing and is repeated', async () => {
    const { ns, token } = await ready()
    const bad = await send(token, 'bad')
    assert.equal(bad.code, 422)
    assert.match(bad.text, /The uploaded image is refused/)
    const seen = await phase(ns, 'root', 'UploadReady')
    assert.match(condition(seen, 'Running').message, /The uploaded image is refused/)
    const { sending, answer } = begin(token)
    answer.catch(() => undefined)
    sending.write('half')
    await cluster.api.until(
      'it is under way',
      dataVolumesPath(ns, 'root'),
      (one) => condition(one, 'Running')?.status === 'True',
    )
    assert.equal((await send(token, 'meanwhile')).code, 409)
    sending.destroy()
    await cluster.api.until('it broke off', dataVolumesPath(ns, 'root'), (one) =>
      /the client left/.test(condition(one, 'Running')?.message ?? ''),
    )
    assert.equal((await send(token, 'whole', 'POST', '/v1beta1/upload-async')).code, 200)
    await phase(ns, 'root', 'Succeeded')
    assert.equal(await uploaded(ns), 'whole')
  })

  it('may take longer than any other request, as long as it goes on', async () => {
    const { ns, token } = await ready()
    const { sending, answer } = begin(token)
    // Four times the limit of other requests, and of the check for that.
    for (let i = 0; i < 40; i++) {
      sending.write('x')
      await delay(100)
    }
    sending.end()
    assert.equal((await answer).code, 200)
    assert.equal(await uploaded(ns), 'x'.repeat(40))
  })

  it('of a client that falls silent is ended', async () => {
    const { ns, token } = await ready()
    const { sending, answer } = begin(token)
    sending.write('x')
    await assert.rejects(answer)
    await cluster.api.until('it broke off', dataVolumesPath(ns, 'root'), (one) =>
      /the client left/.test(condition(one, 'Running')?.message ?? ''),
    )
  })

  it('needs a token of this server, which needs a right and a DataVolume for uploads', async () => {
    const { api } = cluster
    const { ns, token } = await ready()
    const [body = '', signature = ''] = token.split('.')
    const forged = Buffer.from(body, 'base64url').toString().replace('root', 'boot')
    for (const bad of ['', 'x', `${Buffer.from(forged).toString('base64url')}.${signature}`, `${body}.`])
      assert.equal((await send(bad, 'x')).code, 401, bad)
    assert.equal((await send(token, '', 'PUT')).code, 405)
    await api.create(dataVolumesPath(ns), dataVolume('blank', { blank: {} }))
    await phase(ns, 'blank', 'Succeeded')
    const wanted = async (pvcName: Any, as = api) =>
      (await as.send('POST', tokensPath(ns), { body: { spec: { pvcName } } })).code
    assert.deepEqual([await wanted('none'), await wanted('blank'), await wanted('')], [404, 422, 422])
    assert.equal(await wanted('root', await cluster.as('jane', [])), 403)
    // A token is for one claim, not for another one of its name.
    await api.delete(dataVolumesPath(ns, 'root'))
    await api.until('the claim is gone', claimsPath(ns, 'root'), (one) => one === undefined)
    await api.create(dataVolumesPath(ns), dataVolume('root', { upload: {} }))
    await phase(ns, 'root', 'UploadReady')
    assert.equal((await send(token, 'x')).code, 404)
  })

  it('is a command', async () => {
    const ns = await makeNamespace(cluster.api)
    const file = join(folder, 'disk.raw')
    await writeFile(file, 'from a file')
    const { code, out, err } = await cli(
      cluster,
      `image upload dv mine -n ${ns} --size=1Gi --image-path=${file} --insecure`,
    )
    assert.equal(code, 0, err)
    assert.deepEqual(out.trim().split('\n'), [
      `PVC ${ns}/mine not found`,
      `DataVolume ${ns}/mine created`,
      'Waiting for PVC mine upload pod to be ready...',
      'Pod now ready',
      `Uploading data to ${ns}/mine`,
      'Uploading data completed successfully, waiting for processing to complete, you can hit ctrl-c without interrupting the progress',
      'Processing completed successfully',
      `Uploading ${file} completed successfully`,
    ])
    assert.equal(await uploaded(ns, 'mine'), 'from a file')
    const refusals: readonly (readonly [args: string, wanted: RegExp])[] = [
      [`dv mine --image-path=${file}`, /DataVolume \S+\/mine already has its disk/],
      [`dv other --image-path=${file}`, /Give the size of the disk by --size/],
      [`dv other --no-create --image-path=${file}`, /DataVolume \S+\/other not found/],
      [`pvc other --size=1Gi --image-path=${file}`, /pvc is no kind to upload to; write dv NAME/],
      ['dv other --size=1Gi --image-path=/none', /--image-path \/none cannot be read/],
    ]
    for (const [args, wanted] of refusals)
      assert.match((await cli(cluster, `image upload ${args} -n ${ns}`)).err, wanted)
    await writeFile(file, 'bad')
    const refused = await cli(cluster, `image upload dv other -n ${ns} --size=1Gi --image-path=${file}`)
    assert.match(refused.err, /The uploaded image is refused/)
  })
})
