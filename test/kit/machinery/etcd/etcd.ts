import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '#base/wait.ts'
import { EtcdClient } from '#machinery/etcd/client.ts'
import { type EtcdTls, Member } from '#machinery/etcd/member.ts'
import { methods, rangeRequest } from '#machinery/etcd/messages.ts'
import { Fields } from '#machinery/etcd/wire.ts'
import { freePorts } from '../../../../tools/stage/ports.ts'
import { ended } from '../../../../tools/stage/program.ts'
import { unpacked } from '../../../../tools/stage/unpacked.ts'

/** One process of etcd, which ends with this one. */
export type TestMember = Readonly<{
  url: string
  kill(signal: NodeJS.Signals): void
  /** Starts it again after it was killed, with the data it has. */
  restart(): void
}>

export type TestEtcd = Readonly<{ members: readonly TestMember[]; endpoints: readonly string[]; stop(): Promise<void> }>

type Options = Readonly<{
  count?: number
  flags?: readonly string[]
  /** With TLS the URLs are https, and the client shows what is here. */
  tls?: EtcdTls
  /** Whether what it acknowledged has to survive a kill: else it need not wait for the disk. */
  isDurable?: boolean
}>

/** Starts a cluster of Debian's etcd on ports of the loopback, in a folder that goes with it. */
export async function startEtcd({ count = 1, flags = [], tls, isDurable = false }: Options = {}): Promise<TestEtcd> {
  const program = `${await unpacked('etcd-server')}/usr/bin/etcd`
  const folder = mkdtempSync(join(tmpdir(), 'patchbay-etcd-'))
  const scheme = tls ? 'https' : 'http'
  const names = Array.from({ length: count }, (_, i) => `m${i}`)
  const ports = await freePorts(2 * count)
  const peers = names.map((_, i) => `http://127.0.0.1:${ports[count + i]}`)
  const cluster = names.map((name, i) => `${name}=${peers[i]}`).join(',')
  const members = names.map((name, i) => {
    const url = `${scheme}://127.0.0.1:${ports[i]}`
    return member(program, join(folder, name), url, [
      ...['--name', name, '--data-dir', join(folder, name), '--logger', 'zap'],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', `${peers[i]}`, '--initial-advertise-peer-urls', `${peers[i]}`],
      ...['--initial-cluster', cluster, '--initial-cluster-state', 'new'],
      ...(isDurable ? [] : ['--unsafe-no-fsync']),
      ...flags,
    ])
  })
  const etcd: TestEtcd = {
    members,
    endpoints: members.map(({ url }) => url),
    stop: async () => {
      await Promise.all(members.map((one) => one.end()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
  try {
    await answers(etcd.endpoints, tls)
  } catch (error) {
    const log = members.map((one) => one.log()).join('\n')
    await etcd.stop()
    throw new Error(`etcd does not start: ${log}`, { cause: error })
  }
  return etcd
}

/** Resolves when a member answers a linearizable read, so when there is a leader. */
async function answers(endpoints: readonly string[], tls?: EtcdTls): Promise<void> {
  const client = new EtcdClient({ endpoints, ...(tls && { tls }) })
  try {
    const ask = () => client.call(methods.range, rangeRequest({ key: Buffer.of(1) }), 1000)
    await eventually('etcd answers', async () => Boolean(await ask()), { deadlineMs: 60_000 })
  } finally {
    client.close()
  }
}

function member(program: string, data: string, url: string, args: readonly string[]) {
  const logFile = `${data}.log`
  let child = run()
  return {
    url,
    kill: (signal: NodeJS.Signals) => void child.kill(signal),
    restart: () => {
      child = run()
    },
    end: () => ended(child),
    log: () => readFileSync(logFile, 'utf8').slice(-3000),
  }

  function run(): ChildProcess {
    const log = openSync(logFile, 'a')
    return spawn('setpriv', ['--pdeathsig=KILL', '--', program, ...args], { stdio: ['ignore', log, log] })
  }
}

/** The member that leads, by what each says of itself, once all answer: one that was started again takes a moment. */
export function leaderOf({ members }: TestEtcd): Promise<TestMember> {
  return eventually('every member answers, and one leads', async () => {
    const leaders = await Promise.all(members.map(async (one) => ((await isLeader(one.url)) ? one : undefined)))
    return leaders.find((one) => one !== undefined)
  })
}

async function isLeader(url: string): Promise<boolean> {
  const member = new Member(url)
  try {
    const status = new Fields(await member.call('/etcdserverpb.Maintenance/Status', Buffer.alloc(0), 2000))
    return status.fields(1).int(2) === status.int(4)
  } finally {
    member.drop()
  }
}
