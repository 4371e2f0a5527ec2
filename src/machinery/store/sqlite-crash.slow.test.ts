import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { read } from '#kit/machinery/store/contract-kit.ts'
import { openSqliteStore } from './sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'patchbay-crash-'))
after(() => rmSync(folder, { recursive: true, force: true }))

type Ack = Readonly<{ key: string; revision: number; n: number }>

function startWriter(path: string) {
  const writer = fileURLToPath(import.meta.resolve('#kit/machinery/store/sqlite-writer.ts'))
  return spawn(process.execPath, [writer, path], { stdio: ['ignore', 'pipe', 'inherit'] })
}

/** Lets the writer run until it has reported `count` writes, kills it, and returns everything it reported. */
async function writeAndKill(path: string, count: number): Promise<Ack[]> {
  const child = startWriter(path)
  const ended = once(child, 'close')
  const acks: Ack[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    const [key, revision, n] = line.split(' ')
    // The line it was killed in the middle of was not reported.
    if (key && n) acks.push({ key, revision: Number(revision), n: Number(n) })
    if (acks.length === count) child.kill('SIGKILL')
  }
  await ended
  return acks
}

describe('SQLite store, killed', { timeout: 120_000 }, () => {
  it('is refused while another process has it, and opens once that was killed', async (t) => {
    const path = join(folder, 'taken.db')
    const child = startWriter(path)
    t.after(() => child.kill('SIGKILL'))
    const ended = once(child, 'close')
    await once(child.stdout, 'data')
    child.stdout.resume()
    await assert.rejects(openSqliteStore({ path }), {
      kind: 'Unavailable',
      message: `The store ${path} is in use by another process`,
    })
    assert.equal(child.exitCode, null)
    child.kill('SIGKILL')
    await ended
    const store = await openSqliteStore({ path })
    assert.ok(store.revision > 0)
    await store.close()
  })

  it('has lost no acknowledged write after kill -9, five times over', async (t) => {
    const path = join(folder, 'killed.db')
    const acks: Ack[] = []
    for (let round = 0; round < 5; round++) {
      const count = 1 + Math.floor(Math.random() * 1500)
      t.diagnostic(`killed after ${count} writes`)
      acks.push(...(await writeAndKill(path, count)))

      const store = await openSqliteStore({ path })
      const changes = await read(store, '', 0, store.revision)
      const kept = new Map(changes.map(({ row }) => [row.revision, row]))
      assert.equal(kept.size, changes.length, 'every revision once')
      assert.equal(new Set(acks.map(({ revision }) => revision)).size, acks.length, 'no revision acknowledged twice')
      for (const { key, revision, n } of acks) assert.deepEqual(kept.get(revision), { key, revision, value: { n } })
      for (const { row, previous } of changes) assert.equal(row.value.n, Number(previous?.value.n ?? 0) + 1)
      assert.equal((await store.diagnose()).integrity, 'ok')
      await store.close()
    }
  })
})
