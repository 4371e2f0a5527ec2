import { signal } from '@preact/signals'

/** What the sign-in has to say. */
export const signInNote = signal('')
