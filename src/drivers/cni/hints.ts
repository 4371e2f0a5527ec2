import type { JsonObject } from '#base/json.ts'
import { quoted } from './conflist.ts'

/** The kernel feature a plugin needs beyond plain links, and its kernel option. */
const needs: Readonly<Record<string, readonly [what: string, option: string]>> = {
  vlan: ['VLAN links', 'CONFIG_VLAN_8021Q'],
  macvlan: ['macvlan links', 'CONFIG_MACVLAN'],
  ipvlan: ['ipvlan links', 'CONFIG_IPVLAN'],
  vrf: ['VRFs', 'CONFIG_NET_VRF'],
  dummy: ['dummy links', 'CONFIG_DUMMY'],
  bandwidth: ['traffic shaping', 'CONFIG_IFB, CONFIG_NET_SCH_TBF, CONFIG_NET_ACT_MIRRED'],
}
const vlanBridge = ['VLANs on bridges', 'CONFIG_BRIDGE_VLAN_FILTERING'] as const

/** A remedy for an unhelpful error of a plugin: plugins say that something is missing, and not what. */
export function hintFor(type: string, msg: string, config: JsonObject): string {
  return missingLink(msg, config) + missingInKernel(type, msg, config)
}

function missingLink(msg: string, { master, device }: JsonObject): string {
  const [field, name] = typeof master === 'string' ? ['master', master] : ['device', device]
  if (typeof name !== 'string' || !/link not found/i.test(msg) || msg.includes(name)) return ''
  return ` (${field} ${quoted(name)}: is there a link of this name on the host?)`
}

function missingInKernel(type: string, msg: string, { vlan, vlanTrunk }: JsonObject): string {
  const need = type === 'bridge' ? (vlan || vlanTrunk ? vlanBridge : undefined) : needs[type]
  if (!need || !/operation not supported|unknown device type/i.test(msg)) return ''
  const [what, option] = need
  return ` (the kernel of this host has no ${what}; load the module, or run a kernel with ${option})`
}
