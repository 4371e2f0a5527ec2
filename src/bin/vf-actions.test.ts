import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { checkVf, listVfs } from './vf-actions.ts'

const nothing = () => undefined

test('a virtual function that this host does not have is refused in a sentence', async () => {
  await assert.rejects(checkVf('0000:ff:1f.7', nothing), {
    kind: 'Invalid',
    message: 'This host has no virtual function 0000:ff:1f.7; patchbay vf list shows all',
  })
})

test('a file of pools that cannot be read, and every error in one, is said', async () => {
  const folder = mkdtempSync('/tmp/pb-pools-')
  const file = `${folder}/config.json`
  try {
    await assert.rejects(listVfs(file, nothing), { kind: 'Invalid', message: `--pools ${file} cannot be read` })
    writeFileSync(file, '{"resourceList":[{"resourceName":"a-b","selectors":{"drivers":1}}]}')
    await assert.rejects(listVfs(file, nothing), {
      kind: 'Invalid',
      message: `--pools ${file}: resourceList[0].resourceName: must be letters, digits and underscores; resourceList[0].selectors.drivers: is no list of strings`,
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
