import type { FunctionComponent } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { words } from './words.ts'

/** A view that is loaded when it is opened for the first time. */
export function Later({ load }: Readonly<{ load: () => Promise<FunctionComponent> }>) {
  const [view, setView] = useState<Readonly<{ Loaded?: FunctionComponent; isLost?: boolean }>>({})
  useEffect(() => {
    load().then(
      (Loaded) => setView({ Loaded }),
      () => setView({ isLost: true }),
    )
  }, [])
  if (view.Loaded) return <view.Loaded />
  return (
    <main class="view">
      <p class="notice">{view.isLost ? words.connection.stale : words.loading}</p>
    </main>
  )
}
