import { addressedNad, nad, vm } from '../../../tools/stage/manifests.ts'
import { type Api, nadsPath, vmisPath, vmsPath } from '../../component/api.ts'

/** A small cluster as owners have it: machines that run and one that does not, cables up and pulled, a broken network. */
export async function makeWorld(api: Api): Promise<void> {
  const networks = [
    addressedNad('red', { subnet: '10.88.0.0/24' }),
    addressedNad('blue', { subnet: '10.89.0.0/24' }),
    nad('storage', { cniVersion: '0.4.0', name: 'storage', type: 'bridge', bridge: 'br-storage', vlan: 40 }),
    nad('broken', '{"type": "bridge"'),
    nad('sim-bad', { cniVersion: '0.4.0', name: 'sim-fail', type: 'bridge', bridge: 'br-bad' }),
  ]
  for (const one of networks) await api.create(nadsPath('default'), one)
  const machines = [
    vm('web-1', { secondary: { red: undefined, blue: 'down', storage: undefined } }),
    vm('web-2', { secondary: { red: undefined, blue: undefined } }),
    vm('db-1', { secondary: { storage: undefined, blue: undefined } }),
    vm('spare', { runStrategy: 'Halted', secondary: { red: undefined } }),
  ]
  for (const one of machines) await api.create(vmsPath('default'), one)
  for (const name of ['web-1', 'web-2', 'db-1'])
    await api.until(`${name} runs`, vmisPath('default', name), (vmi) => vmi?.status?.phase === 'Running')
}
