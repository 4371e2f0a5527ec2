import { noNetwork } from '#core/nic/nic.ts'
import { rails } from '../api/cluster.ts'
import { missing } from '../api/rights.ts'
import { freeName, networkNameFor } from '../model/gesture.ts'
import type { Jack, Machine } from '../model/machine.ts'
import type { Act } from '../model/rights.ts'
import { machineLink } from '../route.ts'
import { words } from '../words.ts'
import { wish } from './ask.ts'

/** An entry of a menu; `why` says why it is greyed, `key` is the key that does the same on the focused line. */
export type Entry = Readonly<{ label: string; key?: string; why: string | undefined; run: () => void }>

/** What can be done to a card. */
export function jackEntries(machine: Machine, jack: Jack): readonly Entry[] {
  const { name: nic, declared, rail, cable } = jack
  const why = whyNot(machine, 'wire')
  const isGone = declared === 'absent' || declared === undefined
  const other = rails.value.find(({ key, kind }) => kind === 'nad' && key !== rail)
  const fixed = jack.isPrimary ? words.fixed.primary : jack.isPluggable ? undefined : words.fixed.binding
  const plugAgain: Entry = {
    label: words.gesture.plug,
    key: 'Enter',
    why,
    run: () => wish(machine, { do: 'plug', card: { name: nic, network: networkNameFor(rail, machine.namespace) } }),
  }
  if (isGone) return cable.state === 'unplugged' ? [plugAgain] : []
  return [
    {
      label: declared === 'up' ? words.gesture.pull : words.gesture.mend,
      key: 'P',
      why: why ?? (jack.isDevice ? words.fixed.device : undefined),
      run: () => wish(machine, { do: 'link', nic, link: declared === 'up' ? 'down' : 'up' }),
    },
    {
      label: words.gesture.rewire,
      key: 'R',
      why: why ?? fixed ?? (other ? undefined : words.fixed.alone),
      run: () =>
        wish(machine, { do: 'rewire', nic, network: networkNameFor(other?.key ?? noNetwork, machine.namespace) }),
    },
    {
      label: words.gesture.park,
      key: 'K',
      why: why ?? fixed ?? (rail === noNetwork ? words.fixed.parked : undefined),
      run: () => wish(machine, { do: 'rewire', nic, network: noNetwork }),
    },
    {
      label: words.gesture.unplug,
      key: 'Delete',
      why: why ?? fixed,
      run: () => wish(machine, { do: 'unplug', nic }),
    },
  ]
}

/** Plugs a card into a machine: the dialog asks for the rest. */
export function plugInto(machine: Machine, rail?: string): void {
  const first = rail ?? rails.value.find(({ kind }) => kind === 'nad')?.key ?? noNetwork
  const taken = machine.jacks.map(({ name }) => name)
  const network = networkNameFor(first, machine.namespace)
  wish(machine, { do: 'plug', card: { name: freeName(first, taken), network } })
}

/** What can be done to a machine. */
export function machineEntries(machine: Machine): readonly Entry[] {
  const { namespace, name, power, isIsolated, jacks } = machine
  const isOn = power !== 'stopped' && power !== 'failed'
  const needsOn = isOn ? undefined : words.fixed.off
  const act = (what: Extract<Act, keyof typeof words.gesture>, why: string | undefined): Entry => ({
    label: words.gesture[what as 'start'],
    why: whyNot(machine, what) ?? why,
    run: () => wish(machine, { do: 'power', act: what as 'start' }),
  })
  return [
    {
      label: words.gesture.open,
      key: 'O',
      why: undefined,
      run: () => {
        location.hash = machineLink(namespace, name)
      },
    },
    {
      label: isIsolated ? words.gesture.rejoin : words.gesture.isolate,
      key: 'I',
      why: whyNot(machine, 'wire') ?? (jacks.length ? undefined : words.machine.noInterfaces),
      run: () => wish(machine, { do: isIsolated ? 'rejoin' : 'isolate' }),
    },
    { label: words.gesture.plug, key: 'N', why: whyNot(machine, 'wire'), run: () => plugInto(machine) },
    isOn ? act('stop', undefined) : act('start', undefined),
    act('restart', needsOn),
    power === 'paused' ? act('unpause', undefined) : act('pause', needsOn),
    act('migrate', needsOn),
  ]
}

/** Why a machine cannot be changed. */
export function whyNot(machine: Machine, act: Act): string | undefined {
  if (machine.isDeleting) return words.deleting
  if (machine.isBare && act === 'wire') return words.bare
  return missing(act, machine.namespace, machine.name)
}
