import type { Any, Api } from './api.ts'
import { nadsPath, podsPath, vmisPath, vmsPath } from './api.ts'

type Nic = Readonly<{ name: string; nad?: string; state?: string }>

/** A VM with the pod network and one network per NAD. */
export function vm(name: string, nics: readonly Nic[] = [], over: Record<string, unknown> = {}): Any {
  const all = [{ name: 'default', masquerade: {} }, ...nics.map(({ nad: _, ...nic }) => ({ ...nic, bridge: {} }))]
  const networks = [
    { name: 'default', pod: {} },
    ...nics.map(({ name: network, nad }) => ({ name: network, multus: { networkName: nad ?? network } })),
  ]
  const firmware = { kernelBoot: { container: { image: 'demo-guest' } } }
  const domain = { memory: { guest: '128Mi' }, firmware, devices: { interfaces: all } }
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name },
    spec: { runStrategy: 'Always', template: { spec: { domain, networks } }, ...over },
  }
}

/** A network attachment definition that a simulated host attaches at once. */
export function nad(name: string, config: Record<string, unknown> = {}): Any {
  const text = JSON.stringify({ cniVersion: '1.0.0', name, type: 'bridge', bridge: `br-${name}`, ...config })
  return {
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata: { name },
    spec: { config: text },
  }
}

let namespaces = 0

/** A fresh namespace with NADs in it. */
export async function makeNamespace(api: Api, nads: readonly string[] = []): Promise<string> {
  const name = `t${++namespaces}`
  await api.create('/api/v1/namespaces', { metadata: { name } })
  for (const one of nads) await api.create(nadsPath(name), nad(one))
  return name
}

/** Creates a VM and waits until its guest runs; resolves to its instance. */
export async function run(api: Api, namespace: string, manifest: Any): Promise<Any> {
  await api.create(vmsPath(namespace), manifest)
  return running(api, namespace, manifest.metadata.name)
}

export async function running(api: Api, namespace: string, name: string): Promise<Any> {
  await api.until(`VM ${name} runs`, vmsPath(namespace, name), (one) => one?.status?.printableStatus === 'Running')
  return api.get(vmisPath(namespace, name))
}

/** The launcher pod of the only instance of a namespace. */
export async function podOf(api: Api, namespace: string, name: string): Promise<Any> {
  const pods = await api.list(podsPath(namespace))
  return pods.find((pod) => pod.metadata.labels['vm.kubevirt.io/name'] === name)
}

export const linkStates = (vmi: Any) => vmi?.status?.interfaces?.map((one: Any) => `${one.name} ${one.linkState}`)
export const condition = (object: Any, type: string) =>
  object?.status?.conditions?.find((one: Any) => one.type === type)
export const statePatch = (states: readonly string[]) =>
  states.map((value, i) => ({ op: 'add', path: `/spec/template/spec/domain/devices/interfaces/${i}/state`, value }))
