import { isList, isObject, type Json, type JsonObject } from '#base/json.ts'

type LinkState = 'auto' | 'enable' | 'disable'
type Vlan = Readonly<{ id: number; qos: number; proto: '802.1q' | '802.1ad' }>

/** What a card does for one of its VFs. A setting that is absent is left as it is. */
export type VfSettings = Readonly<{
  vlan?: Vlan
  /** The MAC address that an untrusted guest cannot change. */
  mac?: string
  /** Mbit/s; 0 is no limit. */
  rate?: Readonly<{ min: number; max: number }>
  spoofchk?: boolean
  trust?: boolean
  linkState?: LinkState
}>

/** One setting, as `ip link set PF vf INDEX …` takes it. */
export type SettingCommand = readonly string[]

const onOff: Readonly<Record<string, boolean>> = { on: true, off: false }
const linkStates: ReadonlySet<string> = new Set<LinkState>(['auto', 'enable', 'disable'])
const largestVlan = 4094
const largestQos = 7

/**
 * What a NetworkAttachmentDefinition of type `sriov` sets, by the fields of sriov-cni and within its ranges (facts/sriov.md §A);
 * and every error in it.
 */
export function readSettings(config: JsonObject): Readonly<{ settings: VfSettings; errors: readonly string[] }> {
  const errors: string[] = []
  const take = <T>(field: string, isGood: (value: Json) => T | undefined, wanted: string): T | undefined => {
    const value = config[field]
    if (value === undefined || value === '') return undefined
    const good = isGood(value)
    if (good === undefined) errors.push(`${field}: ${JSON.stringify(value)} is not ${wanted}`)
    return good
  }
  const within = (largest: number) => (value: Json) =>
    Number.isInteger(value) && Number(value) >= 0 && Number(value) <= largest ? Number(value) : undefined
  const among = (words: { has: (word: string) => boolean }) => (value: Json) =>
    typeof value === 'string' && words.has(value) ? value : undefined

  const id = take('vlan', within(largestVlan), `a number from 0 to ${largestVlan}`)
  const qos = take('vlanQoS', within(largestQos), `a number from 0 to ${largestQos}`)
  const proto = take('vlanProto', (value) => protoOf(value), '802.1q or 802.1ad')
  if (!id && qos) errors.push('vlanQoS: needs a vlan that is not 0')
  if (!id && proto === '802.1ad') errors.push('vlanProto: 802.1ad needs a vlan that is not 0')
  const most = Number.MAX_SAFE_INTEGER
  const min = take('min_tx_rate', within(most), 'a number of Mbit/s')
  const max = take('max_tx_rate', within(most), 'a number of Mbit/s')
  if (max && min !== undefined && min > max)
    errors.push(`min_tx_rate: ${min} is more than max_tx_rate, which is ${max}`)
  const flag = (field: string) => {
    const word = take(field, among({ has: (one) => one in onOff }), 'on or off')
    return word === undefined ? undefined : onOff[word]
  }
  const [spoofchk, trust] = [flag('spoofchk'), flag('trust')]
  const linkState = take('link_state', among(linkStates), 'auto, enable or disable') as LinkState | undefined
  if (errors.length) return { settings: {}, errors }
  return {
    settings: {
      ...(id !== undefined && { vlan: { id, qos: qos ?? 0, proto: proto ?? '802.1q' } }),
      ...((min !== undefined || max !== undefined) && { rate: { min: min ?? 0, max: max ?? 0 } }),
      ...(spoofchk !== undefined && { spoofchk }),
      ...(trust !== undefined && { trust }),
      ...(linkState !== undefined && { linkState }),
    },
    errors,
  }
}

function protoOf(value: Json): Vlan['proto'] | undefined {
  const word = typeof value === 'string' ? value.toLowerCase() : undefined
  return word === '802.1q' || word === '802.1ad' ? word : undefined
}

/**
 * The settings of a VF in the output of `ip -j link show dev PF`; undefined when the card does not list it. A setting that the
 * driver does not tell is absent.
 */
export function settingsIn(output: unknown, index: number): VfSettings | undefined {
  const [link] = Array.isArray(output) ? output : []
  const list = isObject(link) ? link.vfinfo_list : undefined
  const one = isList(list) ? list.find((vf) => isObject(vf) && vf.vf === index) : undefined
  if (!isObject(one)) return undefined
  const { address, vlan_list: vlans, rate, spoofchk, trust, link_state: linkState } = one
  const [vlan] = isList(vlans) ? vlans : []
  return {
    vlan: isObject(vlan)
      ? { id: Number(vlan.vlan ?? 0), qos: Number(vlan.qos ?? 0), proto: protoOf(vlan.protocol ?? '') ?? '802.1q' }
      : { id: 0, qos: 0, proto: '802.1q' },
    ...(typeof address === 'string' && { mac: address }),
    ...(isObject(rate) && { rate: { min: Number(rate.min_tx ?? 0), max: Number(rate.max_tx ?? 0) } }),
    ...(typeof spoofchk === 'boolean' && { spoofchk }),
    ...(typeof trust === 'boolean' && { trust }),
    ...(typeof linkState === 'string' && linkStates.has(linkState) && { linkState: linkState as LinkState }),
  }
}

/** The order in which sriov-cni makes settings, and the one in which it takes them back. */
const setOrder = ['vlan', 'mac', 'rate', 'spoofchk', 'trust', 'linkState'] as const
const restoreOrder = ['vlan', 'spoofchk', 'mac', 'trust', 'rate', 'linkState'] as const

/** What is left to set so that a VF has all that is wanted. */
export function settingCommands(wanted: VfSettings, now: VfSettings): SettingCommand[] {
  return setOrder.flatMap((name) => commandOf(name, wanted, now))
}

/** What is left to set so that a VF is as it was before: of what was `wanted`, everything that is not as `before`. */
export function restoreCommands(wanted: VfSettings, before: VfSettings, now: VfSettings): SettingCommand[] {
  return restoreOrder.flatMap((name) => (wanted[name] === undefined ? [] : commandOf(name, before, now)))
}

function commandOf(name: keyof VfSettings, wanted: VfSettings, now: VfSettings): SettingCommand[] {
  const words = wordsOf(name, wanted)
  return words && words.join() !== wordsOf(name, now)?.join() ? [words] : []
}

function wordsOf(name: keyof VfSettings, settings: VfSettings): SettingCommand | undefined {
  const { vlan, mac, rate, spoofchk, trust, linkState } = settings
  const flag = (value: boolean) => (value ? 'on' : 'off')
  switch (name) {
    case 'vlan':
      return vlan && vlanWords(vlan)
    case 'mac':
      return mac === undefined ? undefined : ['mac', mac.toLowerCase()]
    case 'rate':
      return rate && ['max_tx_rate', String(rate.max), 'min_tx_rate', String(rate.min)]
    case 'spoofchk':
      return spoofchk === undefined ? undefined : ['spoofchk', flag(spoofchk)]
    case 'trust':
      return trust === undefined ? undefined : ['trust', flag(trust)]
    case 'linkState':
      return linkState && ['state', linkState]
  }
}

/** Drivers that know 802.1q only refuse a command that names it. */
function vlanWords({ id, qos, proto }: Vlan): SettingCommand {
  return ['vlan', String(id), 'qos', String(qos), ...(proto === '802.1q' ? [] : ['proto', proto])]
}
