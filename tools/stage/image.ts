import { isCurrent } from '../../src/drivers/image/demo-guest.ts'
import { must } from './program.ts'
import { root, type Stage } from './stage.ts'

const cache = `${root}/node_modules/.cache/patchbay`

/** Gives a stage the demo guest; built once per checkout. */
export async function provideDemoGuest(stage: Stage): Promise<void> {
  await buildDemoGuest()
  await must(`${root}/patchbay`, [
    'image',
    'import',
    'demo-guest',
    `${cache}/images/demo-guest`,
    '--data-dir',
    stage.dir,
  ])
}

/** Builds the demo guest into the checkout's cache, if it is not there as this version makes it. The folder is linked to from a short path. */
export async function buildDemoGuest(): Promise<void> {
  if (await isCurrent(`${cache}/images/demo-guest`)) return
  // Data directories have short names; the cache of a checkout may be anywhere.
  const folder = (await must('mktemp', ['-d', '/tmp/pb-XXXXXX'])).trim()
  try {
    await must(`${root}/patchbay`, ['image', 'build-demo', '--data-dir', folder], { timeoutMs: 600_000 })
    await must('mkdir', ['-p', cache])
    await must('rm', ['-rf', `${cache}/images`])
    await must('cp', ['-r', `${folder}/images`, cache])
  } finally {
    await must('rm', ['-rf', folder])
  }
}
