import { ok } from '../call.ts'
import { blankId, idIn } from '../ids.ts'
import { type EngineNic, nicsOf } from '../nics/nic.ts'
import { hrefOf, type Route } from '../routes.ts'
import type { Fields } from '../search.ts'
import type { Machine } from '../world.ts'
import { listed, none } from './collection.ts'
import { theTemplate } from './find.ts'
import { empty } from './places.ts'
import { blankTemplateDoc, templateDoc } from './vm-doc.ts'

/** Blank, and the VirtualMachines that are templates. */
type Shown = Readonly<{ machine: Machine | undefined }>

/** `vms` and their data centers are what templates are found by: each VM here is made from Blank (facts/ovirt-clients.md §5). */
const fields =
  (dataCenters: readonly string[], vms: readonly Machine[]): Fields<Shown> =>
  ({ machine }, field, of) => {
    const metadata = machine?.vm.metadata
    if (of === 'vm') {
      const names = { name: vms.map((one) => one.vm.metadata.name), id: vms.map((one) => one.vm.metadata.uid) }
      const found = { name: names.name, id: names.id }[field]
      return found && (machine ? [] : found)
    }
    const places = machine ? [machine.cluster.dataCenter.name] : dataCenters
    if (of === 'datacenter' && field === 'name') return places
    if (of !== undefined && of !== 'template') return undefined
    return {
      id: [metadata?.uid ?? blankId],
      name: [metadata?.name ?? 'Blank'],
      description: [],
      comment: [],
      datacenter: places,
      cluster: machine ? [machine.cluster.name] : [],
    }[field]
  }

const below = {
  cdroms: 'cdroms',
  diskattachments: 'disk_attachments',
  graphicsconsoles: 'graphics_consoles',
  permissions: 'permissions',
  tags: 'tags',
  watchdogs: 'watchdogs',
}

export const templateRoutes: readonly Route[] = [
  {
    path: 'templates',
    get: async (call) => {
      const [templates, vms, places] = await Promise.all([
        call.world.templates(),
        call.world.machines(),
        call.world.dataCenters(),
      ])
      const all: readonly Shown[] = [{ machine: undefined }, ...templates.map((machine) => ({ machine }))]
      const show = ({ machine }: Shown) => (machine ? templateDoc(machine) : blankTemplateDoc())
      return listed(
        call,
        { root: 'templates', item: 'template', show },
        all,
        fields(
          places.map(({ name }) => name),
          vms,
        ),
      )
    },
  },
  { path: `templates/${blankId}`, get: () => ok('template', blankTemplateDoc()) },
  { path: `templates/${blankId}/nics`, get: none('nics') },
  { path: 'templates/:template', get: async (call) => ok('template', templateDoc(await theTemplate(call))) },
  {
    path: 'templates/:template/nics',
    get: async (call) => {
      const machine = await theTemplate(call)
      const { uid } = machine.vm.metadata
      const show = (nic: EngineNic) => ({
        href: hrefOf('templates', uid, 'nics', nic.id),
        id: idIn(uid, `nic/${nic.interface}`),
        name: nic.name,
        ...(nic.type && { interface: nic.type }),
        linked: nic.linked,
        plugged: nic.plugged,
        template: { href: hrefOf('templates', uid), id: uid },
        ...(nic.profile && { vnic_profile: { href: hrefOf('vnicprofiles', nic.profile.id), id: nic.profile.id } }),
      })
      return listed(call, { root: 'nics', item: 'nic', show }, nicsOf(machine, await call.world.profiles()))
    },
  },
  ...empty('templates/:template', below),
]
