import { computed, signal } from '@preact/signals'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { isLoaded } from '../api/cluster.ts'
import { shown } from '../bay/state.ts'
import { jackEntries } from '../gesture/entries.ts'
import { openMenu } from '../gesture/menu.ts'
import { type Column, cellOf, columns, type Order, sorted, type TruthRow, truthRows } from '../model/truth.ts'
import { machineLink } from '../route.ts'
import { words } from '../words.ts'
import './table.css'

/** Height of a line in pixels; that of table.css is the same. */
const lineHeight = 34
/** Lines beyond those in view. */
const beyond = 12

const order = signal<Order>({ by: 'machine', isDown: false })
const view = signal({ top: 0, height: 800 })
const rows = computed(() => sorted(truthRows(shown.value), order.value))

/** The same as the bay in words: declared, hypervisor and guest side by side. */
export function Table() {
  const scroller = useRef<HTMLElement>(null)
  useLayoutEffect(() => {
    const element = scroller.current
    if (!element) return
    const observer = new ResizeObserver(() => {
      view.value = { top: element.scrollTop, height: element.clientHeight }
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  return (
    <main
      class="view truth"
      ref={scroller}
      tabIndex={0}
      aria-label={words.views.table}
      onScroll={(event) => {
        const { scrollTop, clientHeight } = event.currentTarget
        view.value = { top: scrollTop, height: clientHeight }
      }}
    >
      <h1 class="unseen">{words.views.table}</h1>
      <table aria-rowcount={rows.value.length + 1}>
        <caption>{words.table.caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <Heading key={column} column={column} />
            ))}
          </tr>
        </thead>
        <Lines />
      </table>
      {isLoaded.value && !rows.value.length && <p class="notice">{words.table.none}</p>}
    </main>
  )
}

function Heading({ column }: Readonly<{ column: Column }>) {
  const { by, isDown } = order.value
  const isSorted = by === column
  return (
    <th scope="col" class={`col-${column}`} aria-sort={isSorted ? (isDown ? 'descending' : 'ascending') : 'none'}>
      <button
        type="button"
        class="quiet"
        onClick={() => {
          order.value = { by: column, isDown: isSorted && !isDown }
        }}
      >
        {words.table.columns[column]}
        <span aria-hidden="true">{isSorted ? (isDown ? ' ▾' : ' ▴') : ''}</span>
      </button>
    </th>
  )
}

/** Only lines in view are in the page; empty ones above and below keep the height of all. */
function Lines() {
  const { top, height } = view.value
  const all = rows.value
  const first = Math.max(0, Math.floor(top / lineHeight) - beyond)
  const end = Math.min(all.length, Math.ceil((top + height) / lineHeight) + beyond)
  return (
    <tbody>
      <Space lines={first} />
      {all.slice(first, end).map((row, index) => (
        <Line key={row.key} row={row} index={first + index} />
      ))}
      <Space lines={all.length - end} />
    </tbody>
  )
}

function Space({ lines }: Readonly<{ lines: number }>) {
  if (lines <= 0) return null
  return (
    <tr aria-hidden="true" style={{ height: `${lines * lineHeight}px` }}>
      <td colSpan={columns.length} />
    </tr>
  )
}

function Line({ row, index }: Readonly<{ row: TruthRow; index: number }>) {
  return (
    <tr class={row.isDifferent ? 'different' : ''} aria-rowindex={index + 2} data-truth={row.key}>
      {columns.map((column) => (
        <td key={column} class={`col-${column}`}>
          <Cell row={row} column={column} />
        </td>
      ))}
    </tr>
  )
}

function Cell({ row, column }: Readonly<{ row: TruthRow; column: Column }>) {
  const { machine, jack } = row
  switch (column) {
    case 'machine':
      return (
        <a href={machineLink(machine.namespace, machine.name)}>
          {machine.namespace}/{machine.name}
        </a>
      )
    case 'card':
      return (
        <button
          type="button"
          class="quiet"
          aria-haspopup="menu"
          aria-label={words.jackMenu(jack.name, machine.name)}
          onClick={(event) =>
            openMenu(event.currentTarget, words.jackMenu(jack.name, machine.name), jackEntries(machine, jack))
          }
        >
          {jack.name}
        </button>
      )
    case 'state':
      return (
        <span class={jack.cable.state} title={jack.cable.why}>
          {words.states[jack.cable.state]}
          {row.isDifferent && <strong> ≠ {words.table.different}</strong>}
          {jack.cable.why && <small>{jack.cable.why}</small>}
        </span>
      )
    default:
      return <>{cellOf(row, column)}</>
  }
}
