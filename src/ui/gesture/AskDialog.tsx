import { useLayoutEffect, useRef } from 'preact/hooks'
import { machines } from '../api/cluster.ts'
import type { Machine } from '../model/machine.ts'
import { words } from '../words.ts'
import { AskFields } from './AskFields.tsx'
import { type Ask, ask, askAgain, closeAsk, confirm, titleOf } from './ask.ts'

/** The question before anything is done: the plan, its cost, and what stands against it. */
export function AskDialog() {
  const open = ask.value
  return open ? <Question open={open} key={open.machine.key} /> : null
}

function Question({ open }: Readonly<{ open: Ask }>) {
  const dialog = useRef<HTMLDialogElement>(null)
  useLayoutEffect(() => {
    const before = document.activeElement
    const element = dialog.current
    element?.showModal()
    return () => {
      // As long as the dialog is open, nothing beside it takes the focus.
      element?.close()
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])
  const submit = (event: Event) => {
    event.preventDefault()
    if (open.phase === 'changed') askAgain()
    else void confirm()
  }
  const isOver = open.phase === 'gone'
  return (
    <dialog
      ref={dialog}
      aria-labelledby="ask-title"
      class="ask"
      onCancel={(event) => {
        event.preventDefault()
        closeAsk()
      }}
    >
      <form onSubmit={submit}>
        <h2 id="ask-title">{titleOf(open.wish, open.machine)}</h2>
        {!isOver && <AskFields open={open} />}
        <div class="plan" aria-live="polite" data-phase={open.phase}>
          <Plan open={open} />
        </div>
        <footer>
          <button type="button" class="quiet" onClick={closeAsk}>
            {isOver ? words.done.close : words.plan.cancel}
          </button>
          {!isOver && (
            <button
              type="submit"
              class="primary"
              aria-disabled={open.phase !== 'ready' && open.phase !== 'changed'}
              autoFocus
            >
              {open.phase === 'changed' ? words.plan.again : words.plan.confirm}
            </button>
          )}
        </footer>
      </form>
    </dialog>
  )
}

function Plan({ open }: Readonly<{ open: Ask }>) {
  const { phase, lines, text, wish } = open
  switch (phase) {
    case 'asking':
      return <p class="dim">{words.plan.asking}</p>
    case 'gone':
      return <p class="sentence bad">{words.plan.gone}</p>
    case 'refused':
      return (
        <>
          <p class="dim">{words.plan.refused}</p>
          <p class="sentence bad">{text}</p>
        </>
      )
    case 'changed':
      return (
        <>
          <p class="sentence warn">{words.plan.conflict}</p>
          <Compare seen={open.machine} />
        </>
      )
    case 'ready':
    case 'doing':
      if (wish.do === 'power') return null
      return <Lines lines={lines} />
  }
}

/** The cards of a machine as they were seen and as they are, where they differ. */
function Compare({ seen }: Readonly<{ seen: Machine }>) {
  const now = machines.value.get(seen.key)
  const [before, after] = [cardLines(seen), cardLines(now)]
  return (
    <div class="compare">
      <section>
        <h3>{words.plan.before}</h3>
        <Lines lines={before.filter((line) => !after.includes(line))} />
      </section>
      <section>
        <h3>{words.plan.now}</h3>
        <Lines lines={after.filter((line) => !before.includes(line))} />
      </section>
    </div>
  )
}

function cardLines(machine: Machine | undefined): readonly string[] {
  return (machine?.jacks ?? []).map(
    ({ name, rail, declared = '' }) => `${name}: ${[rail, declared].filter(Boolean).join(', ')}`,
  )
}

/** The end of a plan's line is its cost. */
const costPattern = /^(.*) \((live|rewire|restart)\)$/

function Lines({ lines }: Readonly<{ lines: readonly string[] }>) {
  return (
    <ul class="lines">
      {lines.map((line) => {
        const [, what = line, cost] = costPattern.exec(line) ?? []
        return (
          <li key={line}>
            <span>{what}</span>
            {cost && (
              <span class={`cost ${cost}`}>{words.plan[cost === 'live' || cost === 'rewire' ? cost : 'restart']}</span>
            )}
          </li>
        )
      })}
    </ul>
  )
}
