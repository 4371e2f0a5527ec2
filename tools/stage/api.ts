import { readFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { load } from 'js-yaml'

type Kubeconfig = Readonly<{
  clusters: readonly Readonly<{ cluster: Readonly<{ server: string; 'certificate-authority-data': string }> }>[]
  users: readonly Readonly<{ user: Readonly<{ 'client-certificate-data': string; 'client-key-data': string }> }>[]
}>

/** An answer of the API server. `body` is its JSON. */
// biome-ignore lint/suspicious/noExplicitAny: answers are looked into by tests, which fail when they are not as expected
export type Answer = Readonly<{ code: number; body: any; headers: Readonly<Record<string, unknown>> }>

/** A bare client of the API over one warm connection, independent of the product's own clients. */
export class Api {
  readonly #agent: Agent
  readonly #server: string

  constructor(server: string, agent: Agent) {
    this.#server = server
    this.#agent = agent
  }

  /** A client with the identity of a kubeconfig. */
  static async from(kubeconfig: string): Promise<Api> {
    const config = load(await readFile(kubeconfig, 'utf8')) as Kubeconfig
    const { cluster } = config.clusters[0]!
    const { user } = config.users[0]!
    const pem = (text: string) => Buffer.from(text, 'base64').toString()
    const agent = new Agent({
      keepAlive: true,
      maxSockets: 64,
      ca: pem(cluster['certificate-authority-data']),
      cert: pem(user['client-certificate-data']),
      key: pem(user['client-key-data']),
    })
    return new Api(cluster.server, agent)
  }

  call(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const headers =
        text === undefined ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }
      const call = request(`${this.#server}${path}`, { method, agent: this.#agent, headers }, (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('end', () => {
          const out = Buffer.concat(chunks).toString()
          resolve({
            code: answer.statusCode ?? 0,
            body: out.startsWith('{') ? JSON.parse(out) : out,
            headers: answer.headers,
          })
        })
      })
      call.on('error', reject)
      call.end(text)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Paths of the objects stages deal with, in the namespace default. */
export const path = {
  vm: (name = '') => `/apis/kubevirt.io/v1/namespaces/default/virtualmachines/${name}`,
  vmi: (name = '') => `/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances/${name}`,
  nad: (name = '') => `/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions/${name}`,
  vmim: (name = '') => `/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstancemigrations/${name}`,
  pods: '/api/v1/namespaces/default/pods',
  events: '/api/v1/namespaces/default/events',
}
