import type { Interface, Network } from '#apis/kubevirt/interface.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance, type VmiSpec } from '#apis/kubevirt/vmi.ts'
import { apiVersionOf, type ObjectMeta } from '#apis/meta/object.ts'
import { isObject, type JsonObject, sameJson } from '#base/json.ts'
import { desiredNics } from '../nic/desired.ts'
import { planNics } from '../nic/plan.ts'

/** Keeps an instance until its guest has been stopped and its sandbox removed. */
export const vmiFinalizer = 'foregroundDeleteVirtualMachine'

/** The instance a VM's template describes. The caller creates it; the API server fills in identity. */
export function instanceOf(vm: VirtualMachine): VirtualMachineInstance {
  const template = isObject(vm.spec.template.metadata) ? vm.spec.template.metadata : {}
  const { labels, annotations: own } = template as Pick<ObjectMeta, 'labels' | 'annotations'>
  const annotations = { ...own, ...ownAnnotations(vm.metadata) }
  const { name, namespace, uid } = vm.metadata
  return {
    apiVersion: apiVersionOf(VirtualMachineInstance),
    kind: VirtualMachineInstance.kind,
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      labels: { ...labels, 'kubevirt.io/vm': name },
      ...(Object.keys(annotations).length && { annotations }),
      finalizers: [vmiFinalizer],
      ownerReferences: [
        {
          apiVersion: apiVersionOf(VirtualMachine),
          kind: VirtualMachine.kind,
          name,
          uid: uid ?? '',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: vm.spec.template.spec,
  }
}

/** The annotations of a VM that are about running it here; its instance always has the same. */
function ownAnnotations({ annotations }: ObjectMeta): Record<string, string> {
  return Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => key.startsWith('patchbay.dev/')))
}

/** The instance with the annotations its VM has now; the same object when it has them already. */
export function withAnnotationsOf(vm: VirtualMachine, vmi: VirtualMachineInstance): VirtualMachineInstance {
  const { metadata: template } = instanceOf(vm)
  const kept = Object.entries(vmi.metadata.annotations ?? {}).filter(
    ([key]) => !key.startsWith('patchbay.dev/') || template.annotations?.[key] !== undefined,
  )
  const annotations = { ...Object.fromEntries(kept), ...ownAnnotations({ ...template }) }
  if (sameJson(annotations, vmi.metadata.annotations ?? {})) return vmi
  return { ...vmi, metadata: { ...vmi.metadata, annotations } }
}

/** What the owner's edit means for the running instance. */
export type LiveUpdate = Readonly<{
  /** The instance's new spec, when something can be changed while it runs. */
  spec?: VmiSpec
  /** Something differs that only a restart brings about. */
  restartRequired: boolean
}>

/**
 * Compares a VM's template with its instance by the planner that also runs on the node: what is live goes into the
 * instance's spec, everything else asks for a restart (facts/kubevirt.md §3.3).
 */
export function liveUpdate(template: VmiSpec, running: VmiSpec, namespace: string): LiveUpdate {
  const plan = planNics(desiredNics(template, namespace), desiredNics(running, namespace))
  const states = new Map((template.domain.devices.interfaces ?? []).map((one) => [one.name, one.state]))
  const updated = new Set(plan.steps.map((step) => step.nic.name))
  const interfaces = running.domain.devices.interfaces ?? []
  const spec = updated.size
    ? {
        ...running,
        domain: {
          ...running.domain,
          devices: {
            ...running.domain.devices,
            interfaces: interfaces.map((one) => (updated.has(one.name) ? withState(one, states.get(one.name)) : one)),
          },
        },
      }
    : undefined
  return {
    ...(spec && { spec }),
    restartRequired: plan.needs.length > 0 || !sameJson(withoutLive(template), withoutLive(running)),
  }
}

function withState(one: Interface, state: string | undefined): Interface {
  const { state: _, ...rest } = one
  return state === undefined ? rest : { ...rest, state }
}

/** A spec without what the planner has judged already, and without the order of lists whose order means nothing. */
function withoutLive(spec: VmiSpec): JsonObject {
  const byName = <T extends { name: string }>(list: readonly T[]) =>
    list.toSorted((a, b) => a.name.localeCompare(b.name))
  const { interfaces, ...devices } = spec.domain.devices
  return {
    ...spec,
    domain: {
      ...spec.domain,
      devices: { ...devices, interfaces: byName((interfaces ?? []).map((one) => withState(one, undefined))) },
    },
    networks: byName<Network>(spec.networks ?? []),
  } as unknown as JsonObject
}
