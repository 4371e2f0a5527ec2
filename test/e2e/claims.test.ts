import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { basename, dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { vm } from '../../tools/stage/manifests.ts'
import { migration, migrationOver } from '../../tools/stage/migration.ts'
import { must } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { claim, claimPath, dataVolume, dataVolumePath, withVolumes } from '../../tools/stage/volumes.ts'

const allowed = ['--allow-local-downloads']
/** Number of a block device on the virtio bus, as Linux prints it. */
const virtioBlock = '0x0002'

describe('claims on a real host', () => {
  let stage: Stage
  let server: Server
  let folder: string
  let image: Buffer
  /** How often what comes slowly was asked for. */
  let slow = 0

  before(async () => {
    folder = await mkdtemp('/tmp/pb-images-')
    await must('truncate', ['-s', '32M', `${folder}/raw`])
    await must('qemu-io', ['-f', 'raw', '-c', 'write -P 0x5a 1M 2M', `${folder}/raw`])
    await must('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', `${folder}/raw`, `${folder}/qcow2`])
    image = await readFile(`${folder}/qcow2`)
    server = createServer(({ url }, response) => {
      response.writeHead(200, { 'content-length': image.length })
      // The first client never gets the end.
      if (url === '/slow' && slow++ === 0) response.write(image.subarray(0, image.length / 2))
      else response.end(image)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up(allowed)
  })
  after(async () => {
    server?.close()
    server?.closeAllConnections()
    await rm(folder, { recursive: true, force: true })
    await stage?.[Symbol.asyncDispose]()
  })

  const url = (file: string) => {
    const address = server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/${file}`
  }
  const becomes = (
    what: string,
    at: string,
    isDone: (body: Awaited<ReturnType<Stage['api']['call']>>['body']) => unknown,
  ) =>
    eventually(
      what,
      async () => {
        const { body } = await stage.api.call('GET', at)
        if (isDone(body)) return { body }
        throw new Error(`it is ${JSON.stringify(body.status ?? body)}`)
      },
      { deadlineMs: patienceMs },
    ).then(({ body }) => body)
  const phase = (name: string, wanted: string) =>
    becomes(`${name} is ${wanted}`, dataVolumePath(name), (one) => one.status?.phase === wanted)
  const printable = (name: string, wanted: string) =>
    becomes(`VM ${name} is ${wanted}`, path.vm(name), (one) => one.status?.printableStatus === wanted)
  const diskOf = async (name: string) => {
    const { body } = await stage.api.call('GET', claimPath(name))
    return join(stage.dir, 'volumes', body.metadata.uid, 'disk.img')
  }
  const holds = (file: string) => must('qemu-io', ['-r', '-f', 'raw', '-U', '-c', 'read -P 0x5a 1M 2M', file])
  const data = { name: 'data', persistentVolumeClaim: { claimName: 'data' } }

  test('a guest has the disk of its claim, which is sparse', async () => {
    await stage.apply(claim('data'), withVolumes(vm('one'), data))
    await stage.waitFor('one', 'AgentConnected')
    assert.match(await stage.k('get', 'pvc'), /data +Bound +pvc-\S+ +1Gi +RWO +local/)
    const file = await diskOf('data')
    assert.match(await stage.virsh('one', 'domblklist', 'default_one'), /vda +\/run\/disks\/[\da-f-]{36}\.img/)
    const devices = await stage.guest('one', 'cat /sys/bus/virtio/devices/*/device')
    assert.ok(devices.split(/\s+/).includes(virtioBlock), devices)
    const { size, blocks } = await stat(file)
    assert.deepEqual([size, blocks < 1000], [2 ** 30, true])
    const { body } = await stage.api.call('GET', path.vmi('one'))
    const [volume] = body.status.volumeStatus
    assert.deepEqual([volume.target, volume.persistentVolumeClaimInfo.capacity], ['vda', { storage: '1Gi' }])
  })

  test('a second guest of it is not started and says why', async () => {
    await stage.apply(withVolumes(vm('two'), data))
    const { status } = await becomes('it says so', path.vmi('two'), (one) =>
      one.status?.conditions?.some(({ reason }: { reason: string }) => reason === 'ClaimInUse'),
    )
    assert.match(JSON.stringify(status.conditions), /PVC default\/data is used by the instance one/)
    await stage.k('delete', 'vm', 'two')
  })

  test('what is on it stays over a stop, a start, a server that is killed, and a migration', async () => {
    await stage.p('stop', 'one')
    await printable('one', 'Stopped')
    const file = await diskOf('data')
    await must('qemu-io', ['-f', 'raw', '-c', 'write -P 0x5a 1M 2M', file])
    const { ino } = await stat(file)
    await stage.p('start', 'one')
    await stage.waitFor('one', 'AgentConnected')
    await stage.kill()
    await stage.up(allowed)
    await stage.waitFor('one', 'AgentConnected')
    assert.equal((await stat(file)).ino, ino)
    await holds(file)
    await stage.apply(migration('one', 'move'))
    assert.equal((await migrationOver(stage, 'move')).status.phase, 'Succeeded')
    assert.equal((await stat(`${await stage.sandbox('one')}/run/disks/${basename(dirname(file))}.img`)).ino, ino)
  })

  test('DataVolumes are imported if the checksum is right, made empty, and copied', async () => {
    const sha256 = createHash('sha256').update(image).digest('hex')
    await stage.apply(
      dataVolume('good', { http: { url: url('disk'), checksum: `sha256:${sha256}` } }),
      dataVolume('wrong', { http: { url: url('other'), checksum: `sha256:${'0'.repeat(64)}` } }),
      dataVolume('small', { http: { url: url('disk') } }, '16Mi'),
      dataVolume('blank', { blank: {} }),
      dataVolume('copy', { pvc: { namespace: 'default', name: 'good' } }, '2Gi'),
    )
    await Promise.all(['good', 'blank', 'copy'].map((name) => phase(name, 'Succeeded')))
    for (const [name, gib] of [
      ['good', 1],
      ['copy', 2],
    ] as const) {
      const file = await diskOf(name)
      await holds(file)
      assert.equal((await stat(file)).size, gib * 2 ** 30)
    }
    assert.equal((await stat(await diskOf('blank'))).blocks, 0)
    const wrong = JSON.stringify((await phase('wrong', 'Failed')).status.conditions)
    assert.match(wrong, /has the checksum [0-9a-f]{64} and should have 0{64}/)
    const small = JSON.stringify((await phase('small', 'Failed')).status.conditions)
    assert.match(small, /virtual image size 33554432 is larger than the reported available storage 16777216/)
    await assert.rejects(stat(await diskOf('wrong')))
    assert.match(await stage.k('get', 'dv', 'good'), /good +Succeeded +100.0% +0/)
    const events = await stage.k('get', 'events', '-o', 'jsonpath={.items[*].message}')
    assert.match(events, /Successfully imported into PVC good/)
    assert.match(events, /Successfully cloned from default\/good into default\/copy/)
  })

  test('a file of the user is uploaded, by one command; one that is no disk is refused and leaves nothing', async () => {
    const upload = (name: string, file: string, size: string) =>
      stage.p('image', 'upload', 'dv', name, `--size=${size}`, `--image-path=${file}`)
    assert.match(await upload('uploaded', `${folder}/qcow2`, '64Mi'), /Uploading \S+ completed successfully/)
    const file = await diskOf('uploaded')
    await holds(file)
    assert.deepEqual(await readdir(join(file, '..')), ['disk.img'])
    await assert.rejects(
      upload('tiny', `${folder}/qcow2`, '16Mi'),
      /virtual image size 33554432 is larger than the reported/,
    )
    assert.deepEqual(await readdir(join(await diskOf('tiny'), '..')), [])
    assert.equal((await phase('tiny', 'UploadReady')).status.phase, 'UploadReady')
  })

  test('an import that a killed server has begun is done by the next one, and its VM starts then', async () => {
    const manifest = withVolumes(vm('late'), { name: 'root', dataVolume: { name: 'late' } })
    await stage.apply({
      ...manifest,
      spec: { ...manifest.spec, dataVolumeTemplates: [dataVolume('late', { http: { url: url('slow') } })] },
    })
    await eventually('the download has begun', async () => slow > 0, { deadlineMs: patienceMs })
    await printable('late', 'Provisioning')
    const late = await diskOf('late')
    await stage.kill()
    await assert.rejects(stat(late))
    await stage.up(allowed)
    await phase('late', 'Succeeded')
    await stage.waitFor('late', 'AgentConnected')
    await holds(await diskOf('late'))
  })

  test('the disk goes with its claim, once no guest uses it', async () => {
    const file = await diskOf('data')
    await stage.k('delete', 'pvc', 'data', '--wait=false')
    assert.ok(await stat(file))
    assert.match((await stage.api.call('GET', claimPath('data'))).body.metadata.deletionTimestamp, /^2/)
    await stage.k('delete', 'vm', 'one', 'late')
    await becomes('the claim is gone', claimPath('data'), ({ code }) => code === 404)
    await stage.k('delete', 'dv', '--all')
    await eventually('no disk is left', async () => (await readdir(join(stage.dir, 'volumes'))).length === 0, {
      deadlineMs: patienceMs,
    })
  })
})
