import { signal } from '@preact/signals'

/** Where the page is. Names of objects are encoded in the address. */
export type Route =
  | Readonly<{ view: 'bay' | 'table' | 'create' }>
  | Readonly<{ view: 'machine'; namespace: string; name: string; tab: string }>

export const route = signal<Route>(parseRoute(location.hash))

/** Reads the fragment of the address. */
function parseRoute(hash: string): Route {
  const [view, namespace, name, tab = 'overview'] = hash.replace(/^#\/?/, '').split('/').map(decoded)
  if (view === 'machine' && namespace && name) return { view, namespace, name, tab }
  return { view: view === 'table' || view === 'create' ? view : 'bay' }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    // A broken address leads to the bay.
    return ''
  }
}

export function machineLink(namespace: string, name: string, tab = ''): string {
  const parts = ['machine', namespace, name, tab].filter(Boolean)
  return `#/${parts.map(encodeURIComponent).join('/')}`
}

export function followAddress(): void {
  globalThis.addEventListener('hashchange', () => {
    route.value = parseRoute(location.hash)
  })
}
