import { useEffect } from 'preact/hooks'
import { isForbidden, scope, startCluster, tryAgain } from './api/cluster.ts'
import { forgetRights } from './api/rights.ts'
import { isExpired, session } from './api/session.ts'
import { Bay } from './bay/Bay.tsx'
import { AskDialog } from './gesture/AskDialog.tsx'
import { watchAsk } from './gesture/ask.ts'
import { Menu } from './gesture/Menu.tsx'
import { Toasts } from './gesture/Toasts.tsx'
import { Header } from './Header.tsx'
import { Later } from './Later.tsx'
import { route } from './route.ts'
import { SignIn } from './sign-in/SignIn.tsx'
import { words } from './words.ts'

/** The whole page. */
export function App() {
  if (!session.value) return <SignIn isOverlay={false} />
  return <SignedIn />
}

function SignedIn() {
  const user = session.value?.user
  const namespace = scope.value
  const expired = isExpired.value
  useEffect(() => {
    forgetRights()
    const ends = [startCluster(), watchAsk()]
    return () => {
      for (const end of ends) end()
    }
  }, [user, namespace])
  useEffect(() => {
    if (!expired) tryAgain()
  }, [expired])
  return (
    <>
      <div class="page" inert={expired}>
        <Header />
        {isForbidden.value ? <ChooseNamespace /> : <View />}
        <AskDialog />
        <aside aria-label={words.above}>
          <Menu />
          <Toasts />
        </aside>
      </div>
      {expired && <SignIn isOverlay />}
    </>
  )
}

const table = () => import('./table/Table.tsx').then(({ Table }) => Table)
const machine = () => import('./machine/MachineView.tsx').then(({ MachineView }) => MachineView)
const create = () => import('./create/Create.tsx').then(({ Create }) => Create)

function View() {
  const { view } = route.value
  switch (view) {
    case 'bay':
      return (
        <main class="view">
          <Bay />
        </main>
      )
    case 'table':
      return <Later key={view} load={table} />
    case 'machine':
      return <Later key={view} load={machine} />
    case 'create':
      return <Later key={view} load={create} />
  }
}

/** For a user who has rights in some namespaces only. */
function ChooseNamespace() {
  return (
    <main class="view empty">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          scope.value = String(new FormData(event.currentTarget).get('namespace') ?? '').trim()
        }}
      >
        <h1>{words.forbidden.title}</h1>
        <p class="dim">{words.forbidden.hint}</p>
        <label>
          {words.namespace}
          <input name="namespace" value={scope.value || 'default'} required />
        </label>
        <button type="submit" class="primary">
          {words.forbidden.open}
        </button>
      </form>
    </main>
  )
}
