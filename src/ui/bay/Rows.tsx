import { noNetwork } from '#core/nic/nic.ts'
import { nodes } from '../api/cluster.ts'
import { jackEntries, machineEntries, plugInto, whyNot } from '../gesture/entries.ts'
import { openMenu } from '../gesture/menu.ts'
import type { Row } from '../model/layout.ts'
import type { Jack, Machine } from '../model/machine.ts'
import { machineLink } from '../route.ts'
import { words } from '../words.ts'
import { beginDrag, drag } from './drag.ts'
import { focusKey, scrollTop } from './state.ts'

/** Most free sockets that are drawn; the number says how many there are. */
const maxSockets = 8

/** One line of the left side, at its place. */
export function RowView({ row }: Readonly<{ row: Row }>) {
  const style = { height: `${row.height}px`, transform: `translateY(${row.top}px)` }
  const isTarget = row.kind !== 'host' && drag.value?.from === 'rail' && drag.value.target === row.machine.key
  return (
    <div class={`row ${row.kind}${isTarget ? ' target' : ''}`} role="listitem" style={style} data-row={row.key}>
      <Inside row={row} />
    </div>
  )
}

function Inside({ row }: Readonly<{ row: Row }>) {
  switch (row.kind) {
    case 'host':
      return <HostLine host={row.host} count={row.count} />
    case 'machine':
      return <MachineLine machine={row.machine} rowKey={row.key} />
    case 'jack':
      return <JackLine machine={row.machine} jack={row.jack} row={row} />
    case 'free':
      return <FreeLine machine={row.machine} rowKey={row.key} />
  }
}

function HostLine({ host, count }: Readonly<{ host: string | undefined; count: number }>) {
  const node = nodes.value.find(({ metadata }) => metadata.name === host)
  const ready = node?.status?.conditions?.find(({ type }) => type === 'Ready')
  const isLost = ready !== undefined && ready.status !== 'True'
  return (
    <>
      <strong>{words.host(host)}</strong>
      <span class="dim">{words.machines(count)}</span>
      {isLost && <span class="badge failed">{ready.message ?? ready.reason ?? ready.status}</span>}
    </>
  )
}

/** Only one line at a time is in the order of Tab; arrow keys lead to the others. */
function tabIndexOf(key: string): number {
  return focusKey.value === key ? 0 : -1
}

const onFocus = (key: string) => () => {
  focusKey.value = key
}

function MachineLine({ machine, rowKey }: Readonly<{ machine: Machine; rowKey: string }>) {
  const { name, namespace, power, problems, isIsolated, flap, isDeleting, isBare } = machine
  return (
    <>
      <span class={`power ${power}`} aria-hidden="true" />
      <a
        class="name"
        href={machineLink(namespace, name)}
        tabIndex={tabIndexOf(rowKey)}
        data-focus={rowKey}
        onFocus={onFocus(rowKey)}
        title={`${namespace}/${name}`}
      >
        {name}
      </a>
      <span class="namespace">{namespace}</span>
      <span class="state">{isDeleting ? words.deleting : words.power[power]}</span>
      {isIsolated && <span class="badge isolated">{words.isolated}</span>}
      {flap !== undefined && (
        <span class="badge waiting" title={flap}>
          {words.flapping}
        </span>
      )}
      {problems[0] !== undefined && (
        <span class="problem" role="img" aria-label={problems.join('. ')} title={problems.join('\n')}>
          !
        </span>
      )}
      {isBare && (
        <span class="badge" title={words.bare}>
          VMI
        </span>
      )}
      <button
        type="button"
        class="icon more"
        tabIndex={-1}
        aria-label={words.machineMenu(name)}
        aria-haspopup="menu"
        onClick={(event) => openMenu(event.currentTarget, words.machineMenu(name), machineEntries(machine))}
      >
        ⋯
      </button>
    </>
  )
}

type JackProps = Readonly<{ machine: Machine; jack: Jack; row: Extract<Row, { kind: 'jack' }> }>

function JackLine({ machine, jack, row }: JackProps) {
  const { name, guest, addresses, mac, model, cable, rail } = jack
  const state = words.states[cable.state]
  const label = words.cable(machine.name, rail === noNetwork ? words.rail.parking : rail, cable.why)
  const menuOf = (element: HTMLElement) =>
    openMenu(element, words.jackMenu(name, machine.name), jackEntries(machine, jack))
  return (
    <>
      <button
        type="button"
        class="card"
        tabIndex={tabIndexOf(row.key)}
        data-focus={row.key}
        aria-haspopup="menu"
        onFocus={onFocus(row.key)}
        onClick={(event) => menuOf(event.currentTarget)}
      >
        <span class="nic">{name}</span>
        <span class="device">{guest}</span>
        <span class="address">{addresses?.[0]}</span>
        <span class="mac">{mac}</span>
        <span class="model">{model}</span>
        <span class={`cable-state ${cable.state}`} title={cable.why}>
          {state}
        </span>
        <span class="unseen">{label}</span>
      </button>
      <span
        class={`socket ${cable.state}`}
        aria-hidden="true"
        onPointerDown={(event) => {
          if (cable.state === 'unplugged') return
          const socket = event.currentTarget
          const jackY = row.top + row.height / 2 - scrollTop.value
          beginDrag(event, socket.closest<HTMLElement>('.bay'), { from: 'jack', machine, jack, jackY }, () =>
            menuOf(socket),
          )
        }}
      />
    </>
  )
}

function FreeLine({ machine, rowKey }: Readonly<{ machine: Machine; rowKey: string }>) {
  const { ports, name, power } = machine
  const why = whyNot(machine, 'wire')
  const free = ports?.free ?? 0
  const isOn = power !== 'stopped' && power !== 'failed'
  return (
    <>
      <button
        type="button"
        class="free-port"
        tabIndex={tabIndexOf(rowKey)}
        data-focus={rowKey}
        aria-disabled={why !== undefined}
        title={why}
        onFocus={onFocus(rowKey)}
        onClick={() => why === undefined && plugInto(machine)}
      >
        + {isOn && ports ? words.freePorts(free, ports.total) : words.plugStopped}
        <span class="unseen">{words.freeJack(name)}</span>
      </button>
      <span class="holes" aria-hidden="true">
        {Array.from({ length: Math.min(free, maxSockets) }, (_, index) => (
          <i key={index} />
        ))}
      </span>
    </>
  )
}
