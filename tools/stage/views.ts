import { eventually } from '../../src/base/wait.ts'
import { path } from './api.ts'
import { patienceMs, type Stage } from './stage.ts'

/** Up or down, as each of the three says: the API, virsh, and the guest itself. */
type Views = Readonly<{ api: string; virsh: string; guest: string }>

/** What identifies a running guest and its interfaces; a live change must leave all of it alone. */
export type Identity = Readonly<{ qemuPid: number; podUid: string; pciAddresses: string; ifindexes: string }>

/** Milliseconds from `start` until API, virsh and guest each agreed with what was asked, and what they said then. */
export type Agreement = Readonly<{ views: ReadonlyMap<string, Views>; ms: Readonly<Record<keyof Views, number>> }>

/** How each of the three is asked, by MAC address. */
const witnesses: Readonly<Record<keyof Views, (stage: Stage, vm: string) => Promise<Map<string, string>>>> = {
  api: apiLinks,
  virsh: virshLinks,
  guest: guestCarriers,
}

/** What is asked of an interface that is to be gone; who knows nothing of it says so. */
export const gone = 'gone'

/**
 * Waits until all three say about every interface what was asked. Each is asked on its own, so that none is measured with
 * another's time. `known` are the MAC addresses of interfaces that the VM may have forgotten by now.
 * @throws Fault Timeout telling who never agreed and what it says
 */
export async function agreement(
  stage: Stage,
  vm: string,
  asked: Readonly<Record<string, string>>,
  start: number,
  known?: ReadonlyMap<string, string>,
): Promise<Agreement> {
  const macs = known ?? (await macsOf(stage, vm))
  const names = Object.keys(asked)
  const said = (links: ReadonlyMap<string, string>, name: string) => links.get(macs.get(name)!) ?? gone
  const one = async (who: keyof Views): Promise<[keyof Views, number, Map<string, string>]> => {
    const links = await eventually(
      `${who} says ${JSON.stringify(asked)} of ${vm}`,
      async () => {
        const seen = await witnesses[who](stage, vm)
        if (names.every((name) => said(seen, name) === asked[name])) return seen
        throw new Error(`it says ${JSON.stringify(Object.fromEntries(names.map((name) => [name, said(seen, name)])))}`)
      },
      { deadlineMs: patienceMs, everyMs: 10 },
    )
    return [who, performance.now() - start, links]
  }
  const told = await Promise.all([one('api'), one('virsh'), one('guest')])
  const of = (name: string) => Object.fromEntries(told.map(([who, , links]) => [who, said(links, name)])) as Views
  return {
    views: new Map(names.map((name) => [name, of(name)])),
    ms: Object.fromEntries(told.map(([who, ms]) => [who, ms])) as Record<keyof Views, number>,
  }
}

/** MAC addresses by interface name, as the VM has them for life. */
export async function macsOf(stage: Stage, vm: string): Promise<Map<string, string>> {
  const { body } = await stage.api.call('GET', path.vm(vm))
  const list = body.spec.template.spec.domain.devices.interfaces as { name: string; macAddress: string }[]
  return new Map(list.map((nic) => [nic.name, nic.macAddress]))
}

async function apiLinks(stage: Stage, vm: string): Promise<Map<string, string>> {
  const { body } = await stage.api.call('GET', path.vmi(vm))
  const list = (body.status?.interfaces ?? []) as { mac?: string; linkState?: string }[]
  return new Map(list.map((nic) => [nic.mac ?? '', nic.linkState ?? '']))
}

/** What must not change while a guest runs. */
export async function identityOf(stage: Stage, vm: string): Promise<Identity> {
  const pod = await stage.pod(vm)
  const xml = await stage.virsh(vm, 'dumpxml', `default_${vm}`)
  const addresses = [...xml.matchAll(/<interface[\s\S]*?<\/interface>/g)].map(
    ([one]) => /<address type='pci'[^>]*>/.exec(one)?.[0],
  )
  const ifindexes = await stage.guest(
    vm,
    'for d in /sys/class/net/e*; do echo $d $(cat $d/ifindex) $(cat $d/address); done',
  )
  return { qemuPid: await stage.qemuPid(vm), podUid: pod.metadata.uid, pciAddresses: addresses.join(' '), ifindexes }
}

/** Link states by MAC, by `virsh domiflist` and `virsh domif-getlink`. */
async function virshLinks(stage: Stage, vm: string): Promise<Map<string, string>> {
  const domain = `default_${vm}`
  const list = (await stage.virsh(vm, 'domiflist', domain)).split('\n').map((line) => line.trim().split(/\s+/))
  const pairs = await Promise.all(
    list.map(
      async ([tap = '', , , , mac = '']): Promise<[string, string]> => [
        mac,
        (await stage.virsh(vm, 'domif-getlink', domain, tap)).split(/\s+/).at(-1) ?? '',
      ],
    ),
  )
  return new Map(pairs)
}

/** Carriers by MAC, by the guest's own kernel. */
async function guestCarriers(stage: Stage, vm: string): Promise<Map<string, string>> {
  const text = await stage.guest(vm, 'for d in /sys/class/net/e*; do echo $(cat $d/address) $(cat $d/carrier); done')
  return new Map(
    text
      .split('\n')
      .map((line) => line.split(' '))
      .map(([mac = '', carrier]) => [mac, carrier === '1' ? 'up' : 'down']),
  )
}
