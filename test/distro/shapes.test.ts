import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually } from '#base/wait.ts'
import { diskLayer } from '#kit/drivers/image/disks.ts'
import { pushImage, startRegistry, type TestRegistry } from '#kit/drivers/image/registry.ts'
import { expectations, manifestsRoot, objectsOf } from '#kit/manifests.ts'
import { bootMs, buildDistro } from '../../tools/stage/distro.ts'
import { Stage } from '../../tools/stage/stage.ts'

/** Manifests of other people, two at a time: what the machine has processors for. */
const pairs = [
  ['examples/vmi-fedora.yaml', 'examples/vm-alpine-datavolume.yaml'],
  ['guide/config-drive.yaml', 'guide/config-map-and-secret.yaml'],
  ['examples/vmi-volumes-only.yaml', 'examples/vmi-nocloud.yaml'],
] as const

describe('a manifest of other people, as it is, with a whole guest behind the names of its images', () => {
  let stage: Stage
  let registry: TestRegistry | undefined

  before(
    async () => {
      registry = await startRegistry()
      const layer = diskLayer(await readFile(await buildDistro()))
      for (const name of ['fedora', 'alpine'])
        await pushImage(registry.host, `containerdisks/${name}`, [layer], 'latest')
      stage = await Stage.open()
      await stage.up(['--registry-mirror', `http://${registry.host}`])
    },
    { timeout: bootMs },
  )
  after(async () => {
    await stage?.[Symbol.asyncDispose]()
    await registry?.close()
  })

  /** A guest that has data for cloud-init has its own name when it asks: cloud-init has read them. */
  async function reachesLogin(file: string): Promise<void> {
    const manifest = fileURLToPath(new URL(file, manifestsRoot))
    const last = objectsOf(file).at(-1)
    assert.ok(last)
    const { kind, metadata, spec } = last
    await stage.k('apply', '-f', manifest)
    if (kind === 'VirtualMachine' && spec.runStrategy !== 'Always' && spec.running !== true)
      await stage.p('start', metadata.name)
    const { volumes } = (spec.template?.spec ?? spec) as { volumes: readonly object[] }
    const hasSeed = volumes.some((one) => 'cloudInitNoCloud' in one || 'cloudInitConfigDrive' in one)
    const prompt = new RegExp(`${hasSeed ? metadata.name : ''} login:`)
    await eventually(
      `${file} asks for a login`,
      async () => prompt.test(await stage.readSandbox(metadata.name, 'run/console.log')),
      { deadlineMs: bootMs, everyMs: 500 },
    )
    // Its owner waits no longer than a guest takes that is still being set up.
    await stage.k('delete', '-f', manifest, '--wait=false')
  }

  for (const pair of pairs)
    test(`reaches a login: ${pair.map((file) => expectations().get(file)?.shape).join('; ')}`, async () => {
      await Promise.all(pair.map(reachesLogin))
    })
})
