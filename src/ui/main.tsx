import { render } from 'preact'
import { App } from './App.tsx'
import { redeem, resume, takeCode } from './api/session.ts'
import { followAddress } from './route.ts'
import { signInNote } from './sign-in/state.ts'
import './theme.css'
import './bay/bay.css'
import './gesture/gesture.css'
import { words } from './words.ts'

/** Marks when the script began, by which benches count. */
performance.mark('patchbay-start')

async function main(): Promise<void> {
  followAddress()
  const code = takeCode()
  if (code === undefined) resume()
  else if (!(await redeem(code).catch(() => false))) signInNote.value = words.signIn.badCode
  const page = document.getElementById('page')
  if (page) render(<App />, page)
}

void main()
