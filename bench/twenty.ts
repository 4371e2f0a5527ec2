import { path } from '../tools/stage/api.ts'
import { addition, vm } from '../tools/stage/manifests.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { patchVm } from './card.ts'
import { note, percentile, showAlone } from './figures.ts'
import { atRest, Live } from './live.ts'
import { pssMb } from './proc.ts'

const cards = 20

/** Twenty cards plugged one after the other into one guest that has ports for them: does the last take longer than the first? */
export async function benchTwenty(stage: Stage): Promise<void> {
  const manifest = vm('many', { graceSeconds: 0 })
  const annotations = { 'kubevirt.io/pci-interface-slot-count': String(cards + 1) }
  Object.assign(manifest.spec.template, { metadata: { annotations } })
  await stage.api.call('POST', path.vm(), manifest)
  await stage.waitFor('many', 'AgentConnected')
  using live = await Live.open(stage, 'many')
  const pids = { server: stage.pid, QEMU: await stage.qemuPid('many'), libvirtd: await stage.libvirtdPid('many') }
  const pss = async () => Promise.all(Object.values(pids).map(pssMb))
  const before = await pss()
  const took: number[] = []
  for (let i = 0; i < cards; i++) {
    await atRest()
    const start = performance.now()
    const asked = patchVm(stage, 'many', addition(`n${i}`, 'blue', { state: 'up' }))
    took.push(await live.until(`card ${i} comes`, start, (xml) => xml.includes(`ua-n${i}'`)))
    await asked
  }
  const after = await pss()
  showAlone(`${cards} cards plugged in a row: first`, took[0]!, 'ms')
  showAlone('last', took.at(-1)!, 'ms')
  showAlone('p50', percentile(took, 0.5), 'ms')
  note('each', took.map((one) => one.toFixed(0)).join(' '))
  const grown = Object.keys(pids).map((name, i) => `${name} ${(after[i]! - before[i]!).toFixed(1)} MB`)
  note('PSS grown by', grown.join(', '))
}
