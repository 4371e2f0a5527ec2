import { path } from '../stage/api.ts'
import { flip } from '../stage/manifests.ts'
import { CountingGuest, migrationOver } from '../stage/migration.ts'
import type { Stage } from '../stage/stage.ts'
import { identityOf } from '../stage/views.ts'
import type { Teller } from './teller.ts'

/** x moves to another sandbox with a cable pulled; it goes on counting where it was, and its cable can be plugged there. */
export async function moved({ stage, teller }: Readonly<{ stage: Stage; teller: Teller }>): Promise<void> {
  await using guest = await CountingGuest.start(stage, 'x')
  const before = await identityOf(stage, 'x')
  const start = performance.now()
  await stage.p('migrate', 'x')
  const { body } = await stage.api.call('GET', path.vmim())
  const { status } = await migrationOver(stage, body.items[0].metadata.name)
  const over = performance.now() - start
  if (status.phase !== 'Succeeded') throw new Error(`the migration came to ${JSON.stringify(status)}`)
  await teller.compare(stage, 'patchbay migrate x', {
    asked: { default: 'up', blue: 'down' },
    start,
    more: { migration: over },
  })
  await guest.goesOn()
  await guest.verify()
  const after = await identityOf(stage, 'x')
  if (after.podUid === before.podUid || after.qemuPid === before.qemuPid) throw new Error('x did not move')
  if (after.pciAddresses !== before.pciAddresses || after.ifindexes !== before.ifindexes)
    throw new Error(`its devices were ${JSON.stringify(before)}, now they are ${JSON.stringify(after)}`)
  const [there = 0, here = 0] = (await guest.numbers()).map((numbers) => numbers.at(-1) ?? 0)
  console.log(`  pod ${before.podUid} -> ${after.podUid}, QEMU pid ${before.qemuPid} -> ${after.qemuPid}`)
  console.log(
    `  the guest counted to ${there} there and is at ${here} here, each number once; its devices are the same`,
  )
  teller.record({ step: 'the guest has moved', asked: 'the same guest elsewhere', ms: {}, identity: after })

  const raised = performance.now()
  await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip({ 1: 'up' })))
  await teller.compare(stage, 'kubectl patch: the link that came down with it is raised', {
    asked: { default: 'up', blue: 'up' },
    start: raised,
  })
}
