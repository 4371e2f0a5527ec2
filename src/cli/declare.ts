import type { Interface } from '#apis/kubevirt/interface.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import { delay } from '#base/wait.ts'
import { unknownNicText } from '#core/vm/edit-nics.ts'
import type { HttpClient } from '#machinery/client/http-client.ts'

/** Which VM. */
export type VmKey = Readonly<{ namespace: string; name: string }>

/** Which interface of which VM. */
export type NicKey = VmKey & Readonly<{ nic: string }>

/** A state as a manifest has it; undefined when it has none. */
export type State = string | undefined

/** @throws Fault NotFound with a remedy */
export async function getVm(client: HttpClient, { namespace, name }: VmKey): Promise<Stored<VirtualMachine>> {
  const vm = await client.get(VirtualMachine, { namespace, name })
  if (vm) return vm
  throw new Fault(
    'NotFound',
    `There is no VM ${name} in namespace ${namespace}; see those there are with \`kubectl get vm -A\`, and choose a namespace with -n`,
  )
}

/** The interface of a name, and its index in the list. @throws Fault NotFound that lists the existing interfaces */
export function interfaceOf(vm: VirtualMachine, nic: string): Readonly<{ index: number; one: Interface }> {
  const interfaces = vm.spec.template.spec.domain.devices.interfaces ?? []
  const index = interfaces.findIndex(({ name }) => name === nic)
  const one = interfaces[index]
  if (one) return { index, one }
  throw new Fault('NotFound', unknownNicText(vm, nic))
}

/** How often a change is tried while others keep changing the VM. */
const maxTries = 20
const maxPauseMs = 20

type DeclareOptions = Readonly<{
  /** Called with the state just before it is changed; throws to refuse the change. */
  check?: (state: State) => void
  dryRun?: boolean
}>

/**
 * Declares the state of an interface by a patch that changes nothing else. The patch fails when it would hit another
 * interface or undo a concurrent change, and is retried then. Resolves to the changed VM.
 * @throws Fault NotFound, Invalid and whatever `check` throws
 */
export function declareState(
  client: HttpClient,
  { nic, ...key }: NicKey,
  state: State,
  { check, ...options }: DeclareOptions = {},
): Promise<Stored<VirtualMachine>> {
  const decide = (vm: VirtualMachine) => {
    const { index, one } = interfaceOf(vm, nic)
    check?.(one.state)
    return one.state === state ? undefined : operationsFor(index, one, state)
  }
  return patchVm(client, key, decide, options)
}

/**
 * Patches a VM by the operations of `decide` (undefined: none), which test what the decision read; retried when a concurrent
 * change breaks a test. Resolves to the changed VM.
 * @throws Fault NotFound, Invalid, Conflict and whatever `decide` throws
 */
export async function patchVm(
  client: HttpClient,
  key: VmKey,
  decide: (vm: Stored<VirtualMachine>) => readonly JsonObject[] | undefined,
  { dryRun = false }: Readonly<{ dryRun?: boolean }> = {},
): Promise<Stored<VirtualMachine>> {
  let refusal: unknown
  let seen: number | undefined
  for (let tries = 0; tries < maxTries; tries++) {
    const vm = await getVm(client, key)
    const { generation } = vm.metadata
    // The VM is unchanged, so the change itself was refused.
    if (refusal !== undefined && generation === seen) throw refusal
    const operations = decide(vm)
    if (!operations) return vm
    try {
      return await client.patch(VirtualMachine, key, operations, { dryRun })
    } catch (error) {
      if (!(error instanceof Fault) || error.kind !== 'Invalid') throw error
      refusal = error
      seen = generation
      // A random delay, or two such commands would keep retrying in step.
      await delay(Math.random() * maxPauseMs)
    }
  }
  throw new Fault('Conflict', `VM ${key.name} keeps being changed by others; try again`, { cause: refusal })
}

/** The whole interface is tested: its name, and its state even when it has none. */
function operationsFor(index: number, one: Interface, state: State): JsonObject[] {
  const path = `/spec/template/spec/domain/devices/interfaces/${index}`
  return [
    { op: 'test', path, value: one as unknown as JsonObject },
    state === undefined ? { op: 'remove', path: `${path}/state` } : { op: 'add', path: `${path}/state`, value: state },
  ]
}
