import { eventually } from '../../src/base/wait.ts'
import { path } from './api.ts'
import { patienceMs, type Stage } from './stage.ts'

/** Up or down, as each of the three says: the API, virsh, and the guest itself. */
export type Views = Readonly<{ api: string; virsh: string; guest: string }>

/** What identifies a running guest and its interfaces; a live change must leave all of it alone. */
export type Identity = Readonly<{ qemuPid: number; podUid: string; pciAddresses: string; ifindexes: string }>

/** All interfaces of a VM by name, each as all three see it. */
export async function viewsOf(stage: Stage, vm: string): Promise<Map<string, Views>> {
  const [{ body }, links, carriers] = await Promise.all([stage.api.call('GET', path.vmi(vm)), virshLinks(stage, vm), guestCarriers(stage, vm)])
  const list = (body.status?.interfaces ?? []) as { name?: string; mac?: string; linkState?: string }[]
  return new Map(
    list
      .filter((one) => one.name)
      .map((one) => [one.name!, { api: one.linkState ?? '?', virsh: links.get(one.mac ?? '') ?? '?', guest: carriers.get(one.mac ?? '') ?? '?' }]),
  )
}

/** Milliseconds from `start` until API, virsh and guest each agreed with what was asked. */
export type Agreement = Readonly<{ views: Map<string, Views>; ms: Readonly<Record<keyof Views, number>> }>

/**
 * Waits until all three say about every interface what was asked.
 * @throws Fault Timeout telling what each says when they never agree
 */
export async function agreement(stage: Stage, vm: string, asked: Readonly<Record<string, string>>, start: number): Promise<Agreement> {
  const seen: Partial<Record<keyof Views, number>> = {}
  let views = new Map<string, Views>()
  const all = Object.entries(asked)
  await eventually(
    `API, virsh and guest of ${vm} all say ${JSON.stringify(asked)}`,
    async () => {
      views = await viewsOf(stage, vm)
      for (const who of ['api', 'virsh', 'guest'] as const)
        if (all.every(([name, state]) => views.get(name)?.[who] === state)) seen[who] ??= performance.now() - start
        else delete seen[who]
      if (seen.api !== undefined && seen.virsh !== undefined && seen.guest !== undefined) return true
      throw new Error(`they say ${JSON.stringify(Object.fromEntries(views))}`)
    },
    { deadlineMs: patienceMs, everyMs: 10 },
  )
  return { views, ms: seen as Record<keyof Views, number> }
}

/** What must not change while a guest runs. */
export async function identityOf(stage: Stage, vm: string): Promise<Identity> {
  const pod = await stage.pod(vm)
  const xml = await stage.virsh(vm, 'dumpxml', `default_${vm}`)
  const addresses = [...xml.matchAll(/<interface[\s\S]*?<\/interface>/g)].map(([one]) => /<address type='pci'[^>]*>/.exec(one)?.[0])
  const ifindexes = await stage.guest(vm, 'for d in /sys/class/net/eth*; do echo $d $(cat $d/ifindex) $(cat $d/address); done')
  return { qemuPid: await stage.qemuPid(vm), podUid: pod.metadata.uid, pciAddresses: addresses.join(' '), ifindexes }
}

/** Link states by MAC, by `virsh domiflist` and `virsh domif-getlink`. */
async function virshLinks(stage: Stage, vm: string): Promise<Map<string, string>> {
  const domain = `default_${vm}`
  const list = (await stage.virsh(vm, 'domiflist', domain)).split('\n').map((line) => line.trim().split(/\s+/))
  const pairs = await Promise.all(
    list.map(async ([tap = '', , , , mac = '']): Promise<[string, string]> => [mac, (await stage.virsh(vm, 'domif-getlink', domain, tap)).split(/\s+/).at(-1) ?? '']),
  )
  return new Map(pairs)
}

/** Carriers by MAC, by the guest's own kernel. */
async function guestCarriers(stage: Stage, vm: string): Promise<Map<string, string>> {
  const text = await stage.guest(vm, 'for d in /sys/class/net/eth*; do echo $(cat $d/address) $(cat $d/carrier); done')
  return new Map(text.split('\n').map((line) => line.split(' ')).map(([mac = '', carrier]) => [mac, carrier === '1' ? 'up' : 'down']))
}
