import { useEffect } from 'preact/hooks'
import { linkChangedByAnnotation, networkChangedByAnnotation } from '#core/nic/drift.ts'
import { noNetwork } from '#core/nic/nic.ts'
import { runStrategyOf } from '#core/vm/power.ts'
import { migrations } from '../api/cluster.ts'
import { jackEntries } from '../gesture/entries.ts'
import { openMenu } from '../gesture/menu.ts'
import type { Jack, Machine } from '../model/machine.ts'
import { conditionLines, migrationLines, timeline } from '../model/timeline.ts'
import { words } from '../words.ts'
import { events, followEvents } from './events.ts'

/** Status, cards, disks, migrations and events. */
export function Overview({ machine }: Readonly<{ machine: Machine }>) {
  const { namespace, name } = machine
  useEffect(() => followEvents(namespace, name), [namespace, name])
  return (
    <div class="overview">
      <Facts machine={machine} />
      <Conditions machine={machine} />
      <Disks machine={machine} />
      <Interfaces machine={machine} />
      <Migrations machine={machine} />
      <Events />
    </div>
  )
}

type Props = Readonly<{ machine: Machine }>

function Facts({ machine }: Props) {
  const { vm, vmi, host, ports, status } = machine
  const { annotations = {}, creationTimestamp } = vm.metadata
  const { guestOSInfo } = vmi?.status ?? {}
  const by = [...new Set([annotations[linkChangedByAnnotation], annotations[networkChangedByAnnotation]])]
  const facts: readonly (readonly [string, string | undefined])[] = [
    [words.machine.phase, status],
    [words.machine.host, host],
    [words.machine.strategy, runStrategyOf(vm)],
    [words.machine.ports, ports && words.freePorts(ports.free, ports.total)],
    [words.machine.guestOs, guestOSInfo?.prettyName ?? guestOSInfo?.name],
    [words.machine.changedBy, by.filter(Boolean).join(', ')],
    [words.machine.created, new Date(creationTimestamp).toLocaleString()],
  ]
  return (
    <section class="facts">
      <dl>
        {facts
          .filter(([, value]) => value)
          .map(([title, value]) => (
            <div key={title}>
              <dt>{title}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
    </section>
  )
}

function Conditions({ machine }: Props) {
  const lines = conditionLines([machine.vm.status?.conditions, machine.vmi?.status?.conditions])
  return (
    <section>
      <h2>{words.machine.conditions}</h2>
      <ul class="conditions">
        {lines.map(({ type, status, text, isBad }) => (
          <li key={`${type} ${text}`} class={isBad ? 'bad' : ''}>
            <strong>{type}</strong>
            <span class="dim">{status}</span>
            <span>{text || words.conditions[`${type} ${status}`]}</span>
          </li>
        ))}
      </ul>
    </section>
  )
}

function Interfaces({ machine }: Props) {
  const { jacks, guestOnly } = machine
  return (
    <section class="wide">
      <h2>{words.machine.interfaces}</h2>
      {!jacks.length && <p class="dim">{words.machine.noInterfaces}</p>}
      <ul class="jacks">
        {jacks.map((jack) => (
          <JackLine key={jack.name} machine={machine} jack={jack} />
        ))}
        {guestOnly.map((row) => (
          <li key={row.guest} class="dim">
            {row.guest} {row.mac} {row.addresses?.join(', ')}
          </li>
        ))}
      </ul>
    </section>
  )
}

function JackLine({ machine, jack }: Readonly<{ machine: Machine; jack: Jack }>) {
  const { name, rail, cable, guest, mac, model, addresses } = jack
  const label = words.jackMenu(name, machine.name)
  return (
    <li>
      <span class={`socket-mark ${cable.state}`} aria-hidden="true" />
      <strong>{name}</strong>
      <span>{rail === noNetwork ? words.rail.parking : rail}</span>
      <span class="mono">{[guest, ...(addresses ?? [])].filter(Boolean).join(' ')}</span>
      <span class="mono dim">{mac}</span>
      <span class="dim">{model}</span>
      <span class={cable.state}>{words.states[cable.state]}</span>
      <button
        type="button"
        class="icon"
        aria-haspopup="menu"
        aria-label={label}
        onClick={(event) => openMenu(event.currentTarget, label, jackEntries(machine, jack))}
      >
        ⋯
      </button>
      {cable.why && <small class={cable.state}>{cable.why}</small>}
    </li>
  )
}

function Disks({ machine }: Props) {
  const { spec } = machine.vm.spec.template
  const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]))
  const states = new Map((machine.vmi?.status?.volumeStatus ?? []).map((one) => [one.name, one]))
  const disks = spec.domain.devices.disks ?? []
  return (
    <section>
      <h2>{words.machine.disks}</h2>
      {!disks.length && <p class="dim">{words.machine.noDisks}</p>}
      <ul class="disks">
        {disks.map(({ name }) => {
          const { name: _, ...source } = volumes.get(name) ?? { name }
          const state = states.get(name)
          return (
            <li key={name}>
              <strong>{name}</strong>
              <span class="dim">{Object.keys(source)[0]}</span>
              <span class="mono">{state?.target && words.machine.target(state.target)}</span>
            </li>
          )
        })}
      </ul>
    </section>
  )
}

function Migrations({ machine }: Props) {
  const lines = migrationLines(migrations.value, machine.namespace, machine.name)
  if (!lines.length) return null
  return (
    <section>
      <h2>{words.machine.migrations}</h2>
      <ul class="migrations">
        {lines.map(({ name, phase, progress, from, to, text, isFailed, isOver }) => (
          <li key={name}>
            <strong class={isFailed ? 'bad' : ''}>{phase}</strong>
            <span>{[from, to].filter(Boolean).join(' → ')}</span>
            <progress value={progress} max={1} aria-label={`${name}: ${phase}`} class={isOver ? 'over' : ''} />
            {text && <small class="bad">{text}</small>}
          </li>
        ))}
      </ul>
    </section>
  )
}

function Events() {
  const moments = timeline(events.value)
  return (
    <section class="wide">
      <h2>{words.machine.events}</h2>
      {!moments.length && <p class="dim">{words.machine.noEvents}</p>}
      <ol class="timeline">
        {moments.map(({ key, at, reason, text, isWarning, count }) => (
          <li key={key} class={isWarning ? 'warning' : ''}>
            <time dateTime={at}>{new Date(at).toLocaleTimeString()}</time>
            <strong>{reason}</strong>
            <span>{text}</span>
            {count > 1 && <span class="badge">×{count}</span>}
          </li>
        ))}
      </ol>
    </section>
  )
}
