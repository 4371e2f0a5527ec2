import { readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { eventually } from '../../src/base/wait.ts'
import { linkNames, primaryLinkNames } from '../../src/core/nic/names.ts'
import { processOf } from './processes.ts'
import { must, program } from './program.ts'
import type { Stage } from './stage.ts'

/** Everything that can be done to the host under a guest with the pod network and the bridged network `blue`, by name. */
export type Damages = Readonly<Record<string, () => Promise<unknown>>>

/** The damage that somebody on the host can do to a VM's network; every kind of it is to heal. */
export function damagesTo(stage: Stage, vm: string): Damages {
  const { bridge: podBridge, pod: podLink } = primaryLinkNames
  const { bridge, tap } = linkNames('blue')
  const uid = async () => (await stage.pod(vm)).metadata.uid as string
  const netns = async () => `pb-${await uid()}`
  const inSandbox = async (...words: string[]) => must('ip', ['netns', 'exec', await netns(), ...words])
  const ip = async (...words: string[]) => must('ip', ['-n', await netns(), ...words])
  /** The host's end of the link that CNI gave a network. */
  const hostEnd = async (ifName: string) => {
    const record = JSON.parse(await readFile(`${stage.dir}/cni/${await uid()}-${ifName}.json`, 'utf8'))
    const ends = record.result.interfaces.filter((one: { sandbox?: string }) => !one.sandbox)
    return ends.find(({ name }: { name: string }) => name.startsWith('veth')).name as string
  }
  return {
    "the sandbox's packet filter is flushed": () => inSandbox('nft', 'flush', 'ruleset'),
    "the host's packet filter is flushed": () => must('nft', ['flush', 'ruleset']),
    'the bridge of the pod network is deleted in the sandbox': () => ip('link', 'del', podBridge),
    'the bridge of a network is deleted in the sandbox': () => ip('link', 'del', bridge),
    'the link of the pod network is deleted in the sandbox': () => ip('link', 'del', podLink),
    'the link of the pod network is set down': () => ip('link', 'set', podLink, 'down'),
    'the tap of a network is deleted': () => ip('link', 'del', tap),
    'the tap of the pod network is deleted': () => ip('link', 'del', primaryLinkNames.tap),
    'the tap leaves its bridge': () => ip('link', 'set', tap, 'nomaster'),
    'the tap is set down': () => ip('link', 'set', tap, 'down'),
    'a bridge gets another MTU': () => ip('link', 'set', bridge, 'mtu', '1300'),
    "the host's end of the pod network is deleted": async () => must('ip', ['link', 'del', await hostEnd(podLink)]),
    "the host's end of a network leaves its bridge": async () =>
      must('ip', ['link', 'set', await hostEnd(linkNames('blue').pod), 'nomaster']),
    "the host's bridge of the pod network is deleted": () => must('ip', ['link', 'del', 'patchbay0']),
    "the host's bridge of a network is deleted": () => must('ip', ['link', 'del', 'br-blue']),
    'the DHCP server is killed': async () => {
      const pid = await readFile(`${stage.dir}/pods/${await uid()}/dnsmasq-${podBridge}.pid`, 'utf8')
      process.kill(Number(pid), 'SIGKILL')
    },
    'libvirtd is killed': async () => process.kill(await stage.libvirtdPid(vm), 'SIGKILL'),
    'the network namespace loses its name': async () => must('ip', ['netns', 'del', await netns()]),
  }
}

/** Takes away everything that a reboot takes: processes, namespaces, links, rules. The data directory stays. */
export async function reboot(stage: Stage): Promise<void> {
  await stage.kill()
  for (const uid of await readdir(`${stage.dir}/pods`)) {
    const folder = `${stage.dir}/pods/${uid}`
    // The processes of a sandbox are those that see its folder as their /run.
    for (let pid = processOf(folder, /./); pid; pid = processOf(folder, /./)) {
      process.kill(pid, 'SIGKILL')
      await eventually(`process ${pid} is gone`, () => !isThere(pid), { everyMs: 5 })
    }
    await program('ip', ['netns', 'del', `pb-${uid}`])
  }
  await must('nft', ['flush', 'ruleset'])
  const links = JSON.parse(await must('ip', ['-j', 'link'])) as { ifname: string }[]
  for (const { ifname } of links) if (ifname !== 'lo') await program('ip', ['link', 'del', ifname])
}

function isThere(pid: number): boolean {
  try {
    // A zombie holds nothing any more.
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
