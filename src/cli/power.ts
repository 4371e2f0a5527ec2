import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { explain, faultKind } from '#base/fault.ts'
import { runStrategyOf } from '#core/vm/power.ts'
import { type Context, ExitError } from './context.ts'
import { bodyOf, orEnd, pathOf } from './virtctl.ts'

/** The verbs of virtctl: its calls, words and exit code (facts/kubevirt.md §5.1). */
type Verb = 'start' | 'stop' | 'restart'

export type PowerOptions = Readonly<{ paused?: boolean; force?: boolean; gracePeriod?: string; dryRun?: boolean }>

const errorPrefixes: Readonly<Record<Verb, readonly [gentle: string, forced: string]>> = {
  start: ['Error starting VirtualMachine ', ''],
  stop: ['error stopping VirtualMachine ', 'error force stopping VirtualMachine: '],
  restart: ['error restarting VirtualMachine: ', 'error force restarting VirtualMachine: '],
}

/** The field in which each verb takes the guest's grace period, seconds. */
const graceFields = { start: '', stop: 'gracePeriod', restart: 'gracePeriodSeconds' } as const

/** `start`, `stop` and `restart` of a VM. @throws ExitError in virtctl's words */
export async function changePower(context: Context, verb: Verb, name: string, options: PowerOptions): Promise<void> {
  const { client, namespace, print } = context
  const { paused = false, force = false, gracePeriod, dryRun = false } = options
  const body = bodyOf(print, dryRun)
  if (force !== (gracePeriod !== undefined))
    throw new ExitError(1, 'Must both use --force=true and set --grace-period.')
  if (gracePeriod !== undefined && !/^-?\d{1,9}$/.test(gracePeriod))
    throw new ExitError(1, `--grace-period ${gracePeriod} is no whole number of seconds; 0 is the one that works`)
  const grace = force ? { [graceFields[verb]]: Number(gracePeriod) } : {}
  await orEnd(errorPrefixes[verb][force ? 1 : 0], () =>
    client.call('PUT', pathOf(namespace, 'virtualmachines', name, verb), {
      ...body,
      ...(paused && { paused }),
      ...grace,
    }),
  )
  print.line(`VM ${name} was scheduled to ${verb}`)
}

/** `pause` and `unpause` of a VM or instance. @throws ExitError in virtctl's words */
export async function changePause(
  context: Context,
  verb: 'pause' | 'unpause',
  [type, name]: readonly [type: string, name: string],
  dryRun: boolean,
): Promise<void> {
  const { client, namespace, print } = context
  const body = bodyOf(print, dryRun)
  const failing = `Error ${verb === 'pause' ? 'pausing' : 'unpausing'} VirtualMachineInstance ${name}`
  const isVm = /^(vm|virtualmachine)s?$/i.test(type)
  if (!isVm && !/^(vmi|virtualmachineinstance)s?$/i.test(type))
    throw new ExitError(1, `${failing}: ${type} cannot be ${verb}d; say \`patchbay ${verb} vm ${name}\``)
  const vm = isVm ? await vmToPause(context, name) : undefined
  try {
    await client.call('PUT', pathOf(namespace, 'virtualmachineinstances', name, verb), body)
  } catch (error) {
    if (vm && verb === 'pause' && faultKind(error) === 'NotFound')
      throw new ExitError(
        1,
        runStrategyOf(vm) === 'Halted'
          ? `${failing}. VirtualMachine ${name} is not set to run`
          : `${failing} was not found`,
      )
    throw new ExitError(1, `${failing}: ${explain(error)}`)
  }
  print.line(`VMI ${name} was scheduled to ${verb}`)
}

async function vmToPause({ client, namespace }: Context, name: string): Promise<VirtualMachine> {
  const prefix = `Error getting VirtualMachine ${name}: `
  const vm = await orEnd(prefix, () => client.get(VirtualMachine, { namespace, name }))
  if (vm) return vm
  throw new ExitError(1, `${prefix}virtualmachine.kubevirt.io "${name}" not found`)
}
