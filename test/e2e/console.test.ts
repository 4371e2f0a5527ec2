import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { load } from 'js-yaml'
import { eventually } from '#base/wait.ts'
import { Peer } from '#kit/machinery/http/peer.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { vm } from '../../tools/stage/manifests.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

const pathOf = (name: string, verb: string) =>
  `/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/${name}/${verb}`

describe('the console of a real guest', () => {
  let stage: Stage
  let port = 0
  let keys: { ca: string; cert: string; key: string }

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await up()
    await stage.apply(vm('x', { graceSeconds: 0 }))
    await stage.waitFor('x', 'AgentConnected')
  })
  after(() => stage[Symbol.asyncDispose]())

  async function up(): Promise<void> {
    await stage.up()
    // biome-ignore lint/suspicious/noExplicitAny: a kubeconfig, as it was written
    const config = load(await readFile(stage.kubeconfig, 'utf8')) as any
    const pem = (text: string) => Buffer.from(text, 'base64').toString()
    const { server, 'certificate-authority-data': ca } = config.clusters[0].cluster
    const { 'client-certificate-data': cert, 'client-key-data': key } = config.users[0].user
    port = Number(new URL(server).port)
    keys = { ca: pem(ca), cert: pem(cert), key: pem(key) }
  }
  const open = (verb: string) => Peer.open(port, pathOf('x', verb), keys)

  test('what was printed before is shown, commands are typed and their output is read', async (t) => {
    await using peer = await open('console')
    await peer.sees(/demo-guest is up/, patienceMs)
    peer.type('echo $((20 + 22))_is_the_answer\n')
    await peer.sees(/\n42_is_the_answer/, patienceMs)
    const times: number[] = []
    for (let i = 0; i < 20; i++) {
      const start = performance.now()
      peer.type(`echo go$((${i} + 1000))on\n`)
      await peer.sees(new RegExp(`\\ngo${i + 1000}on`), patienceMs)
      times.push(performance.now() - start)
    }
    t.diagnostic(`a line and its answer: ${times.toSorted((a, b) => a - b)[10]?.toFixed(1)} ms`)
  })
})
