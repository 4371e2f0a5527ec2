import type { Doc } from '../../wire/document.ts'
import { NotFound } from '../../wire/faults.ts'
import { type Call, complete, created, ok, type Reply } from '../call.ts'
import { blankId } from '../ids.ts'
import { type EngineNic, nicsOf, nicWithId } from '../nics/nic.ts'
import { newNicWish, nicWish } from '../nics/wish.ts'
import { addNic, editNic, removeNic } from '../nics/write.ts'
import { hrefOf, type Route } from '../routes.ts'
import type { Fields } from '../search.ts'
import { createTemplate, removeTemplate } from '../template-write.ts'
import { type Machine, World } from '../world.ts'
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

async function createdTemplate(call: Call): Promise<Reply> {
  const params = { ...call.params, template: await createTemplate(call) }
  const afresh = { ...call, params, world: new World(call.client, call.gateway.own) }
  return created('template', templateDoc(await theTemplate(afresh)))
}

/** The interface of a template: it has no MAC address, for each VM made from it gets its own. */
function templateNicDoc(nic: EngineNic, { vm }: Pick<Machine, 'vm'>): Doc {
  const { uid } = vm.metadata
  const { profile } = nic
  return {
    href: hrefOf('templates', uid, 'nics', nic.id),
    id: nic.id,
    name: nic.name,
    description: '',
    comment: '',
    ...(nic.type && { interface: nic.type }),
    linked: nic.linked,
    plugged: nic.plugged,
    template: { href: hrefOf('templates', uid), id: uid },
    ...(profile && { vnic_profile: { href: hrefOf('vnicprofiles', profile.id), id: profile.id } }),
  }
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
    post: createdTemplate,
  },
  { path: `templates/${blankId}`, get: () => ok('template', blankTemplateDoc()) },
  { path: `templates/${blankId}/nics`, get: none('nics') },
  {
    path: 'templates/:template',
    get: async (call) => ok('template', templateDoc(await theTemplate(call))),
    remove: async (call) => {
      await removeTemplate(call, await theTemplate(call))
      return complete()
    },
  },
  {
    path: 'templates/:template/nics',
    get: async (call) => {
      const machine = await theTemplate(call)
      const show = (nic: EngineNic) => templateNicDoc(nic, machine)
      return listed(call, { root: 'nics', item: 'nic', show }, nicsOf(machine, await call.world.profiles()))
    },
    post: async (call) => {
      const machine = await theTemplate(call)
      return created('nic', templateNicDoc(await addNic(call, machine, newNicWish(call.input)), machine))
    },
  },
  {
    path: 'templates/:template/nics/:nic',
    get: async (call) => {
      const machine = await theTemplate(call)
      const nic = nicWithId(machine, call.params.nic ?? '', await call.world.profiles())
      if (!nic) throw new NotFound()
      return ok('nic', templateNicDoc(nic, machine))
    },
    put: async (call) => {
      const machine = await theTemplate(call)
      return ok(
        'nic',
        templateNicDoc(await editNic(call, machine, call.params.nic ?? '', nicWish(call.input)), machine),
      )
    },
    remove: async (call) => {
      await removeNic(call, await theTemplate(call), call.params.nic ?? '')
      return complete()
    },
  },
  ...empty('templates/:template', below),
]
