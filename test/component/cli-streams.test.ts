import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually } from '#base/wait.ts'
import { vmsPath } from './api.ts'
import { cli, type Running, startCli } from './cli-kit.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, podOf, run, vm } from './manifests.ts'

const launcher = fileURLToPath(new URL('../../patchbay', import.meta.url))

describe('commands that open streams into guests', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a'))
  })
  after(() => cluster?.stop())

  const start = (args: string, env?: Record<string, string>) => startCli(cluster, [...args.split(' '), '-n', ns], env)
  const prints = (running: Running, what: RegExp, from: 'out' | 'err' = 'out') =>
    eventually(`${what} is printed`, () => {
      const { out, err } = running.printed()
      const found = what.exec(running.printed()[from])
      if (!found) throw new Error(`so far: ${out} ${err}`)
      return found
    })

  it('console: what comes through a pipe is typed, and what comes back is printed until it is quiet', async () => {
    const running = start('console a')
    running.input.end('hello there\n')
    const { code, out, err } = await running.ended
    assert.equal(code, 0, err)
    assert.match(out, /login: hello there\n$/)
    assert.match(err, /^Successfully connected to a console\. The escape sequence is \^\]\n$/)
  })

  it('console: Ctrl+] ends it, and a terminal is raw meanwhile and as before afterwards', async () => {
    const running = start('console a --tail 0')
    await prints(running, /Successfully connected/, 'err')
    running.input.write('typed')
    await prints(running, /^typed$/)
    running.input.write('\x1d')
    assert.equal((await running.ended).code, 0)
    const line = `stty -a; ${launcher} console a -n ${ns} --tail 0; echo it ended with $?; stty -a`
    const inTerminal = startCli(cluster, [], {}, ['script', '-qec', line, '/dev/null'])
    await prints(inTerminal, /Successfully connected/)
    // In a raw terminal Ctrl+C is a byte as any other.
    inTerminal.input.write('\x03[raw]')
    await prints(inTerminal, /\x03\[raw\]/)
    inTerminal.input.write('\x1d')
    const { out } = await inTerminal.ended
    assert.match(out, /it ended with 0/)
    const [before, afterwards] = [...out.matchAll(/(-?icanon)[\s\S]*?(-?echo\b)/g)].map(([, ...flags]) => flags)
    assert.deepEqual(
      [before, afterwards],
      [
        ['icanon', 'echo'],
        ['icanon', 'echo'],
      ],
    )
  })

  it('console: waits for a VM that is starting; without one it says so', async () => {
    const halted = vm('later')
    halted.spec.runStrategy = 'Halted'
    await cluster.api.create(vmsPath(ns), halted)
    const running = start('console later --timeout 1')
    await prints(running, /^Waiting for later to run\n$/, 'err')
    await cluster.api.patch(vmsPath(ns, 'later'), { spec: { runStrategy: 'Always' } })
    await prints(running, /login: /)
    await cluster.api.patch(vmsPath(ns, 'later'), { spec: { runStrategy: 'Halted' } })
    const { code, err } = await running.ended
    assert.deepEqual([code, err.split('\n').at(-2)], [0, 'The guest of later has ended'])
    const none = await cli(cluster, `console none -n ${ns}`)
    assert.deepEqual([none.code, none.err], [1, 'virtualmachineinstance.kubevirt.io "none" not found\n'])
  })

  it('console: --log prints what is kept, and --tail the last lines of it', async () => {
    const { uid } = (await podOf(cluster.api, ns, 'a')).metadata
    const folder = join(cluster.dir.pods, uid, 'run')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'console.log'), 'one\ntwo\nthree\n')
    assert.equal((await cli(cluster, `console a -n ${ns} --log`)).out, 'one\ntwo\nthree\n')
    assert.equal((await cli(cluster, `console a -n ${ns} --log=true --tail 1`)).out, 'three\n')
  })

  it('console: a token in the kubeconfig is enough', async () => {
    const path = `/api/v1/namespaces/${ns}/serviceaccounts`
    await cluster.api.create(path, { metadata: { name: 'bot' } })
    const { status } = await cluster.api.create(`${path}/bot/token`, { spec: {} })
    const kubeconfig = join(cluster.dir.root, 'token.yaml')
    const server = { server: `https://127.0.0.1:${cluster.port}` }
    const authority = { 'certificate-authority-data': Buffer.from(cluster.keys.ca).toString('base64') }
    await writeFile(
      kubeconfig,
      JSON.stringify({
        clusters: [{ name: 'x', cluster: { ...server, ...authority } }],
        users: [{ name: 'x', user: { token: status.token } }],
        contexts: [{ name: 'x', context: { cluster: 'x', user: 'x', namespace: ns } }],
        'current-context': 'x',
      }),
    )
    const refused = await cli(cluster, `console a --kubeconfig ${kubeconfig}`)
    assert.equal(refused.code, 1)
    assert.match(refused.err, /"system:serviceaccount:.*:bot" cannot get resource "virtualmachineinstances\/console"/)
    await cluster.api.create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/rolebindings`, {
      metadata: { name: 'bot' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'kubevirt.io:edit' },
      subjects: [{ kind: 'ServiceAccount', name: 'bot', namespace: ns }],
    })
    const running = startCli(cluster, ['console', 'a', '--kubeconfig', kubeconfig])
    await prints(running, /login: /)
    running.input.write('\x1d')
    assert.equal((await running.ended).code, 0)
  })

  /** Connects to a local port, and gives what comes. */
  async function dial(port: number): Promise<{ socket: Socket; text: () => string }> {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8').on('data', (data: string) => (text += data))
    socket.on('error', () => undefined)
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return { socket, text: () => text }
  }

  it('vnc: serves the screen to one viewer, and ends with it; a picture goes to a file or to the output', async () => {
    const running = start('vnc a --proxy-only')
    const [, port] = await prints(running, /^\{"port":(\d+)\}\n$/)
    const { socket, text } = await dial(Number(port))
    await eventually('the screen greets', () => text() === 'RFB 003.008\n')
    assert.match((await start('vnc a --preserve-session').ended).err, /^Active VNC connection\. Request denied\.\n$/)
    socket.destroy()
    assert.equal((await running.ended).code, 0)
    const file = join(cluster.dir.root, 'screen.png')
    const taken = await start(`vnc screenshot a -f ${file}`).ended
    assert.equal(taken.code, 0, taken.err)
    assert.equal((await readFile(file)).subarray(1, 4).toString(), 'PNG')
    assert.match((await start('vnc screenshot a -f -').ended).out, /PNG/)
  })

  it('vnc: starts a viewer that is installed, or says where to connect one', async () => {
    const folder = join(cluster.dir.root, 'viewers')
    await mkdir(folder)
    const said = join(folder, 'said')
    await writeFile(join(folder, 'vncviewer'), `#!/bin/sh\necho "$@" > ${said}\n`)
    await chmod(join(folder, 'vncviewer'), 0o755)
    const running = start('vnc a', { PATH: `${folder}:/usr/bin:/bin` })
    const words = await eventually(
      'it is started',
      async () => (await readFile(said, 'utf8').catch(() => '')).trim() || undefined,
    )
    const [, port] = /^127\.0\.0\.1::(\d+)$/.exec(words) ?? []
    ;(await dial(Number(port))).socket.destroy()
    assert.equal((await running.ended).code, 0)
    const bare = start('vnc a', { PATH: '/nowhere:/usr/bin:/bin' })
    await prints(bare, /^(Connect a VNC viewer to 127\.0\.0\.1:\d+; none is installed here|)/)
    bare.interrupt('SIGTERM')
    await bare.ended
  })

  it('port-forward: local ports lead to the guest, tcp and udp, until it is interrupted', async () => {
    const running = start(`port-forward vm/a/${ns} 0:7 udp/0:7 0:9`)
    const found = await prints(
      running,
      /^Forwarding from 127\.0\.0\.1:(\d+) to tcp\/7\nForwarding from 127\.0\.0\.1:(\d+) to udp\/7\nForwarding from 127\.0\.0\.1:(\d+) to tcp\/9\n$/,
    )
    const [tcp = 0, udp = 0, closed = 0] = found.slice(1).map(Number)
    const [one, two] = [await dial(tcp), await dial(tcp)]
    one.socket.write('one')
    two.socket.write('two')
    await eventually('both are answered', () => one.text() === 'one' && two.text() === 'two')
    const datagrams = createSocket('udp4')
    try {
      let answer = ''
      datagrams.on('message', (data) => (answer = data.toString()))
      await eventually('it is answered', () => {
        datagrams.send('ping', udp, '127.0.0.1')
        return answer === 'ping'
      })
    } finally {
      datagrams.close()
    }
    const { socket } = await dial(closed)
    await new Promise((resolve) => socket.once('close', resolve))
    await prints(running, /^Cannot reach vm\/a port 9: dialing VM: tcp port 9 .* cannot be reached\n$/, 'err')
    running.interrupt('SIGINT')
    assert.equal((await running.ended).code, 0)
    for (const [args, why] of [
      ['a 80', /"a" names no guest; write it like vm\/NAME/],
      ['vm/a 0:0', /"0:0" is no port/],
      ['vm/a --stdio udp/7', /--stdio takes one port, by tcp/],
    ] as const) {
      const { code, err } = await start(`port-forward ${args}`).ended
      assert.equal(code, 1)
      assert.match(err, why)
    }
  })

  it('port-forward --stdio is what ssh needs: it runs the local client with it', async () => {
    const running = start(`port-forward --stdio=true vmi/a/${ns} 7`)
    running.input.write('SSH-2.0')
    await prints(running, /^SSH-2\.0$/)
    running.input.end()
    assert.equal((await running.ended).code, 0)
    const folder = join(cluster.dir.root, 'clients')
    await mkdir(folder)
    // Runs the ProxyCommand as ssh does, and says how it was called.
    const find = 'for one; do case $one in ProxyCommand=*) proxy=$(echo "$one" | cut -d= -f2-) ;; esac; done'
    const fake = `#!/bin/sh\n${find}\necho "$0 $*"\nexec sh -c "$proxy"\n`
    for (const name of ['ssh', 'scp']) {
      await writeFile(join(folder, name), fake)
      await chmod(join(folder, name), 0o755)
    }
    const env = { PATH: `${folder}:${process.env.PATH}` }
    const ssh = start(`ssh root@vm/a -p 7 -i key --known-hosts known -t -v -c uptime`, env)
    ssh.input.write('hello')
    await prints(
      ssh,
      /\/ssh -v -o ProxyCommand=.* -o UserKnownHostsFile=known -o IdentityFile=key -- root@vm\.a\.t1 uptime\nhello$/,
    )
    ssh.input.end()
    assert.equal((await ssh.ended).code, 0)
    const scp = start(`scp -r here.txt vmi/a:there.txt -P 7 -l root`, env)
    scp.input.end('x')
    assert.match((await scp.ended).out, /\/scp -r -o ProxyCommand=.* -- here\.txt root@vmi\.a\.t1:there\.txt\nx$/)
  })
})
