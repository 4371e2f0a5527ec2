import { collector, collectWhenIdle } from '#base/idle-collector.ts'
import { startCluster } from '../component/cluster.ts'

// A server in a process of its own, so that its memory can be told from that of whoever attacks it. Its parent talks to it
// by messages: see target.ts.

const collect = collector()

const uncaught: string[] = []
process.on('uncaughtException', (error) => uncaught.push(String(error.stack)))
process.on('unhandledRejection', (error) => uncaught.push(String(error)))

const cluster = await startCluster()
collectWhenIdle()

/** What is left when everything that can be collected is, MB. */
async function rssMb(): Promise<number> {
  await cluster.store.compact(cluster.store.revision)
  for (let i = 0; i < 5; i++) {
    collect({ type: 'major', flavor: 'last-resort' })
    await new Promise((resolve) => setTimeout(resolve, 20))
  }

  return process.memoryUsage().rss / 2 ** 20
}

process.on('message', async (question: 'rss' | 'errors' | 'stop') => {
  if (question === 'rss') process.send?.(await rssMb())
  if (question === 'errors') process.send?.([...cluster.errors, ...uncaught])
  if (question === 'stop') {
    await cluster.stop()
    process.send?.('stopped', () => process.exit())
  }
})
const { port, authority, keys } = cluster
process.send?.({ port, authority, keys })
