import { useState } from 'preact/hooks'
import { signIn, whoIs } from '../api/session.ts'
import { words } from '../words.ts'
import { signInNote } from './state.ts'

/** Asks for a token. As an overlay it leaves what is below as it is. */
export function SignIn({ isOverlay }: Readonly<{ isOverlay: boolean }>) {
  const [isBusy, setBusy] = useState(false)
  const submit = async (form: HTMLFormElement) => {
    const token = String(new FormData(form).get('token') ?? '').trim()
    if (!token) return
    setBusy(true)
    try {
      const who = await whoIs(token)
      if (who === 'refused') signInNote.value = words.signIn.refused
      else {
        signInNote.value = ''
        signIn(who)
      }
    } catch {
      // A fetch that fails has reached no server.
      signInNote.value = words.signIn.unreachable
    } finally {
      setBusy(false)
    }
  }
  return (
    <main class={isOverlay ? 'sign-in overlay' : 'sign-in'}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void submit(event.currentTarget)
        }}
      >
        <Mark />
        <h1>{words.signIn.title}</h1>
        <p class="dim">{isOverlay ? words.signIn.again : words.signIn.hint}</p>
        <label>
          {words.signIn.token}
          <input name="token" type="password" autoComplete="off" autoFocus />
        </label>
        <p class="sentence bad" role="alert">
          {signInNote.value}
        </p>
        <button type="submit" class="primary" disabled={isBusy}>
          {words.signIn.submit}
        </button>
      </form>
    </main>
  )
}

/** The mark of the product: two jacks and a cable. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 28 28" width="24" height="24" aria-hidden="true">
      <circle cx="6" cy="8" r="4" />
      <circle cx="22" cy="20" r="4" />
      <path d="M10 8C18 8 10 20 18 20" />
    </svg>
  )
}
