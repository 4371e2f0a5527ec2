import type { Json, JsonObject } from '#base/json.ts'
import type { Acting } from '../engine/call.ts'
import { createVm, hotplugNic, hotunplugNic, updateDevice } from './cards.ts'
import { capabilities, vmFullList, vmList, vmStats } from './reports.ts'

/** A method of vdsm's that is served here. */
type Method = Readonly<{ isWrite: boolean; run: (acting: Acting, params: JsonObject) => Promise<Json> }>

const read = (run: Method['run']): Method => ({ isWrite: false, run })
const write = (run: Method['run']): Method => ({ isWrite: true, run })

export const methods: ReadonlyMap<string, Method> = new Map([
  ['Host.ping', read(async () => true)],
  ['Host.ping2', read(async () => true)],
  ['Host.getVMList', read(vmList)],
  ['Host.getVMFullList', read(vmFullList)],
  ['Host.getCapabilities', read(capabilities)],
  ['VM.getStats', read(vmStats)],
  ['VM.updateDevice', write(updateDevice)],
  ['VM.hotplugNic', write(hotplugNic)],
  ['VM.hotunplugNic', write(hotunplugNic)],
  ['VM.create', write(createVm)],
])
