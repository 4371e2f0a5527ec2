import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Metrics } from './metrics.ts'

const dashboard = JSON.parse(readFileSync(new URL('../../docs/grafana-dashboard.json', import.meta.url), 'utf8'))

/** Every query of the dashboard, those of its variables too. */
function queriesIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(queriesIn)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    (key === 'expr' || key === 'definition') && typeof inner === 'string' ? [inner] : queriesIn(inner),
  )
}

/** Every metric that the server has, with the series that a histogram is made of, and the labels that each may have. */
async function served(): Promise<ReadonlySet<string>> {
  const metrics = new Metrics()
  metrics.followSandboxes('n', () => 0)
  metrics.followObjects({ vms: () => [], vmis: () => [] })
  metrics.followTraffic(async () => [])
  const { text } = await metrics.page()
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
  return new Set(
    types.flatMap(([, name = '', type]) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name],
    ),
  )
}

test('every metric of the Grafana dashboard is one that the server has', async () => {
  const known = await served()
  const named = new Set(queriesIn(dashboard).flatMap((query) => query.match(/\b(patchbay|kubevirt)_\w+/g) ?? []))
  assert.ok(named.size >= 14, [...named].join())
  assert.deepEqual(
    [...named].filter((name) => !known.has(name)),
    [],
  )
})

test('every metric of the server is on the Grafana dashboard, but for deprecated ones', async () => {
  const queries = queriesIn(dashboard).join('\n')
  const missing = [...(await served())].filter((name) => !queries.includes(name))
  assert.deepEqual(missing.toSorted(), [
    'kubevirt_vmi_network_traffic_bytes_total',
    'patchbay_link_apply_duration_seconds_sum',
  ])
})

test('the panels of the Grafana dashboard have ids of their own and lie beside each other', () => {
  type Panel = Readonly<{ id: number; gridPos: Readonly<{ x: number; y: number; w: number; h: number }> }>
  const panels: readonly Panel[] = dashboard.panels
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  const taken = new Set<string>()
  for (const { id, gridPos } of panels) {
    assert.ok(gridPos.x + gridPos.w <= 24)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.ok(!taken.has(`${x} ${y}`), `panel ${id}`)
        taken.add(`${x} ${y}`)
      }
  }
})
