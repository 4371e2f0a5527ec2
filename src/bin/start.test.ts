import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const src = new URL('../', import.meta.url)

/** Everything a module imports statically, itself included; modules loaded by `import()` are left out. */
function loadedWith(file: URL, seen = new Set<string>()): Set<string> {
  if (seen.has(file.href)) return seen
  seen.add(file.href)
  const text = readFileSync(file, 'utf8').replace(/^import type [^;]*?from '[^']+'$/gms, '')
  for (const [, from] of text.matchAll(/^(?:import|export)\b[^'\n;]*?(?:\{[^}]*\}[^'\n;]*?)?from '([#.][^']+)'/gm))
    loadedWith(from!.startsWith('#') ? new URL(from!.slice(1), src) : new URL(from!, file), seen)
  return seen
}

test('a client command starts without the modules of the server', () => {
  const cli = ['kubeconfig', 'link', 'flap', 'nics', 'power', 'version'].map((name) => `cli/${name}.ts`)
  const starts = [
    'bin/patchbay.ts',
    'bin/interrupts.ts',
    'machinery/client/http-client.ts',
    'machinery/client/connection.ts',
    'machinery/client-node/https.ts',
    ...cli,
  ]
  const loaded = new Set(starts.flatMap((file) => [...loadedWith(new URL(file, src))]))
  const files = [...loaded].map((file) => file.slice(src.href.length))
  assert.ok(files.includes('machinery/client/codes.ts') && files.includes('core/nic/plan.ts'))
  const server = /^(drivers|agent|controllers|machinery\/(store|loop|rest|http\/(exchange|listener)))|^base\/log\.ts/
  assert.deepEqual(
    files.filter((file) => server.test(file)),
    [],
  )
})
