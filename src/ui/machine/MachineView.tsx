import { isLoaded } from '../api/cluster.ts'
import { type Entry, machineEntries } from '../gesture/entries.ts'
import { Later } from '../Later.tsx'
import type { Machine } from '../model/machine.ts'
import { machineLink, route } from '../route.ts'
import { words } from '../words.ts'
import { Overview } from './Overview.tsx'
import { shownMachine } from './state.ts'
import './machine.css'

const tabs = ['overview', 'yaml', 'console', 'screen', 'traffic'] as const
type Tab = (typeof tabs)[number]

const yaml = () => import('./Yaml.tsx').then(({ Yaml }) => Yaml)
const console = () => import('./Console.tsx').then(({ Console }) => Console)
const screen = () => import('./Screen.tsx').then(({ Screen }) => Screen)
const traffic = () => import('./Traffic.tsx').then(({ Traffic }) => Traffic)

/** Everything about one machine. */
export function MachineView() {
  const machine = shownMachine.value
  const at = route.value
  if (at.view !== 'machine') return null
  if (!machine)
    return (
      <main class="view empty">
        <h1>{isLoaded.value ? words.machine.gone : words.loading}</h1>
        <a class="button" href="#/">
          {words.machine.back}
        </a>
      </main>
    )
  const tab = tabs.find((one) => one === at.tab) ?? 'overview'
  return (
    <main class="view machine-view">
      <Top machine={machine} />
      <Tabs machine={machine} tab={tab} />
      <div
        class={`tab-panel ${tab}`}
        role="tabpanel"
        id="machine-panel"
        aria-label={words.machine.tabs[tab]}
        tabIndex={0}
        key={`${machine.key} ${tab}`}
      >
        <Panel tab={tab} machine={machine} />
      </div>
    </main>
  )
}

function Panel({ tab, machine }: Readonly<{ tab: Tab; machine: Machine }>) {
  switch (tab) {
    case 'overview':
      return <Overview machine={machine} />
    case 'yaml':
      return <Later load={yaml} />
    case 'console':
      return <Later load={console} />
    case 'screen':
      return <Later load={screen} />
    case 'traffic':
      return <Later load={traffic} />
  }
}

function Top({ machine }: Readonly<{ machine: Machine }>) {
  const { name, namespace, power, isIsolated, problems } = machine
  // The first entry opens the machine, which is open.
  const [, ...entries] = machineEntries(machine)
  return (
    <header class="machine-top">
      <a href="#/" class="quiet button" aria-label={words.machine.back}>
        ‹
      </a>
      <span class={`power ${power}`} aria-hidden="true" />
      <h1>{name}</h1>
      <span class="namespace">{namespace}</span>
      <span class="state">{words.power[power]}</span>
      {isIsolated && <span class="badge isolated">{words.isolated}</span>}
      <div class="acts">
        {entries.map((entry) => (
          <Act key={entry.label} entry={entry} />
        ))}
      </div>
      {problems.map((text) => (
        <p key={text} class="sentence bad">
          {text}
        </p>
      ))}
    </header>
  )
}

function Act({ entry }: Readonly<{ entry: Entry }>) {
  return (
    <button
      type="button"
      aria-disabled={entry.why !== undefined}
      title={entry.why}
      onClick={() => entry.why === undefined && entry.run()}
    >
      {entry.label}
    </button>
  )
}

function Tabs({ machine, tab }: Readonly<{ machine: Machine; tab: Tab }>) {
  const { namespace, name } = machine
  return (
    <div
      class="tabs"
      role="tablist"
      aria-label={words.machine.tabsLabel}
      onKeyDown={(event) => {
        const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
        const next = step && tabs.at((tabs.indexOf(tab) + step) % tabs.length)
        if (!next) return
        location.hash = machineLink(namespace, name, next)
        event.currentTarget.querySelector<HTMLElement>(`#tab-${next}`)?.focus()
      }}
    >
      {tabs.map((one) => (
        <a
          key={one}
          id={`tab-${one}`}
          role="tab"
          aria-selected={one === tab}
          aria-controls="machine-panel"
          tabIndex={one === tab ? 0 : -1}
          href={machineLink(namespace, name, one)}
        >
          {words.machine.tabs[one]}
        </a>
      ))}
    </div>
  )
}
