import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { load } from 'js-yaml'
import { eventually } from '#base/wait.ts'
import { Peer } from '#kit/machinery/http/peer.ts'
import { path } from '../../tools/stage/api.ts'
import { runInGuest } from '../../tools/stage/guest.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { vm } from '../../tools/stage/manifests.ts'
import { migration, migrationOver } from '../../tools/stage/migration.ts'
import { program } from '../../tools/stage/program.ts'
import { patienceMs, root, Stage } from '../../tools/stage/stage.ts'

const pathOf = (name: string, verb: string) =>
  `/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/${name}/${verb}`

describe('the console of a real guest', () => {
  let stage: Stage
  let port = 0
  let uid = ''
  let keys: { ca: string; cert: string; key: string }

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await up()
    await stage.apply(vm('x', { graceSeconds: 0 }))
    await stage.waitFor('x', 'AgentConnected')
    uid = (await stage.pod('x')).metadata.uid
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
  const refused = async (verb: string) => (await Peer.refusal(port, pathOf('x', verb), keys)).text
  let shell: Peer
  /** Types a command, which fits in a line of the guest's terminal, and waits for its output. */
  const types = async (line: string, answer: RegExp) => {
    shell.type(`${line}\n`)
    await shell.sees(answer, patienceMs)
  }

  test('what was printed before is shown, commands are typed and their output is read', async (t) => {
    shell = await open('console')
    await shell.sees(/demo-guest is up/, patienceMs)
    await types('echo $((20 + 22))_is_the_answer', /\n42_is_the_answer/)
    const times: number[] = []
    for (let i = 1000; i < 1020; i++) {
      const start = performance.now()
      await types(`echo go$((${i}))on`, new RegExp(`\ngo${i}on`))
      times.push(performance.now() - start)
    }
    t.diagnostic(`a line and its answer: ${times.toSorted((a, b) => a - b)[10]?.toFixed(1)} ms`)
  })

  test('the command types what comes through a pipe, and prints what the guest says', async () => {
    const args = ['console', 'x', '--kubeconfig', stage.kubeconfig, '--tail', '0']
    const { code, stdout, stderr } = await program(`${root}/patchbay`, args, { input: 'echo pi$((1 + 1))pe\n' })
    assert.equal(code, 0, stderr)
    assert.match(stdout, /\npi2pe\r\n/)
  })

  test('a second client types, the first watches', async () => {
    const first = shell
    shell = await open('console')
    await types('echo sec$((1 + 1))nd', /\nsec2nd/)
    await first.sees(/\nsec2nd/, patienceMs)
    await first[Symbol.asyncDispose]()
  })

  test('a restart of Patchbay ends the console, and the next one shows what was printed meanwhile', async () => {
    await types('until [ -e /tmp/go ]; do usleep 9999; done; echo aw$((1+1))y', /until/)
    await stage.stop()
    assert.equal((await shell.ends()).code, 1001)
    await runInGuest((...args) => stage.virshAt(uid, ...args), 'default_x', 'touch /tmp/go')
    await up()
    shell = await open('console')
    await shell.sees(/\naw2y/, patienceMs)
  })

  test('no line is lost when the guest is moved, and it is typed at where it is', async (t) => {
    const lines = 300
    await types(`for i in $(seq 0 ${lines - 1}); do echo "<$i>"; usleep 9999; done`, /<20>/)
    await stage.apply(migration('x', 'm'))
    const { status } = await migrationOver(stage, 'm')
    assert.equal(status.phase, 'Succeeded', JSON.stringify(status))
    t.diagnostic(`moved while it was at ${shell.text.match(/<\d+>/g)?.at(-1)}`)
    await shell.sees(new RegExp(`<${lines - 1}>`), patienceMs)
    const seen = [...shell.text.matchAll(/^<(\d+)>/gm)].map(([, n]) => Number(n))
    assert.deepEqual(
      seen,
      Array.from({ length: lines }, (_, i) => i),
    )
    await types('echo still_$((40 + 2))', /\nstill_42/)
    uid = (await stage.pod('x')).metadata.uid
  })

  test('ports of the guest are reached; a closed one is refused, tcp before the upgrade and udp by its end', async (t) => {
    await types('nc -ll -p 8000 -e cat &', /cat &/)
    await types('echo listen$((1 + 1))', /\nlisten2/)
    const tcp = await eventually('it listens', () => open('portforward/8000').catch(() => undefined), {
      deadlineMs: patienceMs,
    })
    const piece = randomBytes(64 * 1024)
    const pieces = 64
    const start = performance.now()
    for (let i = 0; i < pieces; i++) tcp.socket.send(piece)
    await eventually('all comes back', () => tcp.byteLength === pieces * piece.length, { deadlineMs: patienceMs })
    t.diagnostic(`${((pieces / 16 / (performance.now() - start)) * 1000).toFixed(1)} MiB/s there and back`)
    assert.equal(digestOf(tcp.messages), digestOf(Array.from({ length: pieces }, () => piece)))
    await tcp[Symbol.asyncDispose]()
    // No program of the guest listens on UDP: its kernel says so.
    await using udp = await open('portforward/5353/udp')
    udp.type('datagram')
    const end = await udp.ends()
    assert.deepEqual([end.code, /ECONNREFUSED/.test(end.reason)], [1011, true], end.reason)
    assert.match(await refused('portforward/9'), /dialing VM: tcp 10\.[\d.]+:9 cannot be reached: connect ECONNREFUSED/)
    await using screen = await open('vnc')
    await screen.sees(/RFB 003\.008/, patienceMs)
  })

  test('a guest that reads nothing of what is typed slows down no other client', async () => {
    await types('stty -echo; sleep 10000', /sleep 10000/)
    // No program reads it: the terminal of the guest is full, then the pipe, then what Patchbay and both kernels take.
    for (let i = 0; i < 40; i++) shell.socket.send(Buffer.alloc(1024 * 1024, 0x2e))
    await eventually('it waits at its client', () => shell.socket.bufferedAmount > 20 * 1024 * 1024)
    assert.equal((await stage.api.call('GET', path.vmi('x'))).code, 200)
    await using watcher = await open('console')
    await watcher.sees(/sleep 10000/, patienceMs)
    assert.ok(shell.socket.bufferedAmount > 20 * 1024 * 1024)
  })

  test('the console ends with its guest', async () => {
    await using watcher = await open('console')
    await stage.k('patch', 'vm', 'x', '--type=merge', '-p', '{"spec":{"runStrategy":"Halted"}}')
    assert.equal((await watcher.ends()).code, 1000)
    await shell[Symbol.asyncDispose]()
    assert.match(await refused('console'), /not found|VMI is not running/)
  })
})

function digestOf(parts: readonly Buffer[]): string {
  const hash = createHash('sha256')
  for (const one of parts) hash.update(one)
  return hash.digest('hex')
}
