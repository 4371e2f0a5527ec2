import { readFileSync } from 'node:fs'

type Package = Readonly<{ version?: string; license?: string; dev?: boolean; optional?: boolean }>

const head = `Patchbay
Copyright The Patchbay Authors

Licensed under the Apache License, Version 2.0; see LICENSE.

It runs with these packages, each under its own license:

`

/** The text of NOTICE: every package that a running Patchbay loads, from the lock file. */
export function notices(lock: string): string {
  const { packages } = JSON.parse(lock) as { packages: Record<string, Package> }
  const lines = Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && !dev)
    .map(
      ([path, { version, license }]) => `${path.replace(/^.*node_modules\//, '')} ${version} (${license ?? 'unknown'})`,
    )
  return `${head}${[...new Set(lines)].toSorted().join('\n')}\n`
}

/** What is wrong with NOTICE, for `npm run check`. */
export function staleNotices(root: string): string[] {
  const expected = notices(readFileSync(`${root}/package-lock.json`, 'utf8'))
  const is = readFileSync(`${root}/NOTICE`, 'utf8') === expected
  return is ? [] : ['NOTICE does not list what package-lock.json has; write it again with: npm run notices']
}

if (import.meta.main)
  process.stdout.write(notices(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')))
