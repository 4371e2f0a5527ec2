import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { exists } from '#base/file.ts'
import { silent } from '#base/log.ts'
import { usualThresholds } from '#core/disk/image-stock.ts'
import { defaultNamespaceLimits } from '#core/quota/limits.ts'
import { defaultUsers } from '#core/sandbox/users.ts'
import { defaultLimits } from '#machinery/http/limits.ts'
import { up } from './up.ts'

test('a server that is not started by root says so before it makes anything', async (t) => {
  t.mock.method(process as { getuid: () => number }, 'getuid', () => 1000)
  const dataDir = join(tmpdir(), `pb-not-root-${process.pid}`)
  const ready: string[] = []
  const starting = up(
    {
      dataDir,
      node: undefined,
      simulate: false,
      imageThresholds: usualThresholds,
      downloads: { mirrors: new Map(), isLocalAllowed: false },
      maxPods: 1,
      podNetwork: {},
      hostDiskFolders: [],
      accelerator: 'auto',
      listen: '127.0.0.1:0',
      limits: defaultLimits,
      historyMs: 1000,
      storeQuotaBytes: 1e9,
      guestUsers: defaultUsers,
      namespaceLimits: defaultNamespaceLimits,
      anyNamespaceNetworks: false,
      maxTokenSeconds: 86_400,
      audit: { maxBytes: 1024, files: 1 },
      cni: { pluginDirs: [], timeoutMs: 1000 },
      log: silent,
      signal: AbortSignal.abort(),
    },
    (line) => ready.push(line),
  )
  await assert.rejects(starting, {
    kind: 'Invalid',
    message: /only root may: run it as root, or with --simulate to try the API without guests$/,
  })
  assert.deepEqual(ready, [])
  assert.equal(await exists(dataDir), false)
})
