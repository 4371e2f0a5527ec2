import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Answer, type Any, Api, nadsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, makeGround, startOn } from './cluster.ts'
import { condition, nad, running, vm } from './manifests.ts'

export const root = '/ovirt-engine/api'

type Sending = Readonly<{ body?: string | object; headers?: Record<string, string> }>

/** A client of oVirt's API that shows raw answers. It asks for JSON, and sends XML unless it is given an object. */
export class Engine {
  readonly api: Api
  readonly #login: string

  constructor(port: number, ca: string, login: string) {
    this.api = new Api(port, ca, undefined)
    this.#login = login
  }

  /** Sends a request to a path below the root, or to one of the server's own that begins with a slash. */
  send(method: string, path: string, { body, headers = {} }: Sending = {}): Promise<Answer> {
    const at = path.startsWith('/') ? path : [root, path].filter(Boolean).join('/')
    const type = typeof body === 'object' ? 'application/json' : 'application/xml'
    const authorization = `Basic ${Buffer.from(this.#login).toString('base64')}`
    return this.api.send(method, at, {
      ...(body !== undefined && { body: typeof body === 'object' ? JSON.stringify(body) : body, type }),
      headers: { accept: 'application/json', authorization, ...headers },
    })
  }

  async get(path: string): Promise<Any> {
    return expect2xx(await this.send('GET', path))
  }

  async put(path: string, body: string | object): Promise<Any> {
    return expect2xx(await this.send('PUT', path, { body }))
  }

  async post(path: string, body: string | object = '<action/>'): Promise<Any> {
    return expect2xx(await this.send('POST', path, { body }))
  }

  async remove(path: string): Promise<Any> {
    return expect2xx(await this.send('DELETE', path))
  }

  /** The text of an XML answer. */
  async xml(path: string): Promise<string> {
    return (await this.send('GET', path, { headers: { accept: 'application/xml' } })).text
  }

  /** Code, reason and detail of a refusal. */
  async refused(method: string, path: string, body?: string | object): Promise<[number, string, string]> {
    const { code, json } = await this.send(method, path, body === undefined ? {} : { body })
    return [code, json?.reason, json?.detail]
  }

  /** Codes and texts of the audit log, newest first. */
  async events(search = ''): Promise<[string, string][]> {
    const { event = [] } = await this.get(`events${search && `?search=${encodeURIComponent(search)}`}`)
    return event.map(({ code, description }: Any) => [code, description])
  }
}

function expect2xx({ code, json, text }: Answer): Any {
  if (code >= 200 && code < 300) return json
  throw new Error(`${code}: ${text}`)
}

/** The world that oVirt's tests begin with (facts/ovirt-clients.md §10): vm1 runs with `nic1` on blue, vm2 is down. */
export type EngineWorld = Readonly<{
  cluster: Cluster
  engine: Engine
  /** A user who may only look. */
  viewer: Engine
  vm1: string
  vm2: string
  /** vm1's nic1. */
  nic1: string
  /** Ids of vNIC profiles by name. */
  profiles: Readonly<Record<string, string>>
  /** What the status of vm1's instance says of an interface; undefined where the guest does not have it. */
  inGuest(name: string): Promise<Any>
  stop(): Promise<void>
}>

export const password = 'sesame-admin'

export async function startEngine(options: Parameters<typeof startOn>[1] = {}): Promise<EngineWorld> {
  const ground = await makeGround()
  const tokenAuthFile = join(ground.dir.root, 'tokens.csv')
  await writeFile(tokenAuthFile, `${password},admin,,"system:masters"\nsesame-viewer,viewer,,\n`)
  const cluster = await startOn(ground, { ovirt: true, tokenAuthFile, ...options })
  const { api, ovirtPort, authority } = cluster
  for (const name of ['blue', 'red']) await api.create(nadsPath('default'), nad(name))
  const first = vm('vm1', [{ name: 'nic1', nad: 'blue' }])
  const second = vm('vm2', [{ name: 'nic1', nad: 'blue' }], { runStrategy: 'Halted' })
  const made = [await api.create(vmsPath('default'), first), await api.create(vmsPath('default'), second)]
  await api.create('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'viewer' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
    subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'viewer' }],
  })
  await running(api, 'default', 'vm1')
  // What the agent tells is part of what is shown.
  await api.until(
    'vm1’s agent is heard',
    vmisPath('default', 'vm1'),
    (one) => condition(one, 'AgentConnected') && one.status.guestOSInfo,
  )
  const engine = new Engine(ovirtPort, authority.cert, `admin@internal:${password}`)
  const viewer = new Engine(ovirtPort, authority.cert, 'viewer@internal:sesame-viewer')
  const [vm1, vm2] = made.map((one) => one.metadata.uid)
  const { nic } = await engine.get(`vms/${vm1}/nics`)
  const { vnic_profile } = await engine.get('vnicprofiles')
  return {
    ...{ cluster, engine, viewer, vm1, vm2 },
    nic1: nic.find((one: Any) => one.name === 'nic1').id,
    profiles: Object.fromEntries(vnic_profile.map((one: Any) => [one.name, one.id])),
    inGuest: async (name) =>
      (await api.get(vmisPath('default', 'vm1'))).status.interfaces.find((one: Any) => one.name === name),
    stop: async () => {
      for (const { api: client } of [engine, viewer]) client.close()
      await cluster.stop()
      await ground.remove()
    },
  }
}
