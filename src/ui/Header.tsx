import { isLoaded, isStale, rails } from './api/cluster.ts'
import { session, signOut } from './api/session.ts'
import { filter, namespaces, shown } from './bay/state.ts'
import { route } from './route.ts'
import { Mark } from './sign-in/SignIn.tsx'
import { words } from './words.ts'

const views = [
  ['bay', '#/'],
  ['table', '#/table'],
  ['create', '#/create'],
] as const

/** The head of every view: where one is, what is shown, and whether it is true. */
export function Header() {
  const { view } = route.value
  const isList = view === 'bay' || view === 'table'
  return (
    <header class={isStale.value ? 'head stale' : 'head'}>
      <a class="brand" href="#/">
        <Mark />
        <span>{words.product}</span>
      </a>
      <nav aria-label={words.views.main}>
        {views.map(([name, href]) => (
          <a key={name} href={href} aria-current={view === name ? 'page' : undefined}>
            {words.views[name]}
          </a>
        ))}
      </nav>
      {isList && <Filters />}
      <Connection />
      <button type="button" class="quiet" title={words.signIn.as(session.value?.user ?? '')} onClick={signOut}>
        {words.signIn.out}
      </button>
    </header>
  )
}

function Filters() {
  const { text, namespace, network } = filter.value
  return (
    <search class="filters">
      <input
        type="search"
        aria-label={words.search}
        placeholder={words.search}
        value={text}
        onInput={(event) => {
          filter.value = { ...filter.value, text: event.currentTarget.value }
        }}
      />
      <select
        aria-label={words.namespace}
        value={namespace}
        onChange={(event) => {
          filter.value = { ...filter.value, namespace: event.currentTarget.value }
        }}
      >
        <option value="">{`${words.namespace}: ${words.all}`}</option>
        {namespaces.value.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
      <select
        aria-label={words.network}
        value={network}
        onChange={(event) => {
          filter.value = { ...filter.value, network: event.currentTarget.value }
        }}
      >
        <option value="">{`${words.network}: ${words.all}`}</option>
        {rails.value.map((rail) => (
          <option key={rail.key} value={rail.key}>
            {rail.namespace ? rail.key : rail.name}
          </option>
        ))}
      </select>
      <span class="dim shown">{words.machines(shown.value.length)}</span>
    </search>
  )
}

function Connection() {
  const state = !isLoaded.value ? 'connecting' : isStale.value ? 'stale' : 'live'
  return (
    <span class={`connection ${state}`} role="status">
      <i aria-hidden="true" />
      {words.connection[state]}
    </span>
  )
}
