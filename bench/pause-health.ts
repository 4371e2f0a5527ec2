import { parentPort, workerData } from 'node:worker_threads'
import { Api } from '../tools/stage/api.ts'

// Asks /healthz without pause, in a thread of its own, so that it is the server that is waited for. Told to begin and to
// end, it answers with the longest time that one answer took in between, milliseconds.

const api = await Api.from(workerData)
let longest = 0
let toTell: 'begin' | 'end' | undefined
parentPort?.on('message', (word: 'begin' | 'end') => {
  toTell = word
})
parentPort?.postMessage('ready')
for (;;) {
  const start = performance.now()
  await api.call('GET', '/healthz')
  longest = Math.max(longest, performance.now() - start)
  if (toTell === undefined) continue
  parentPort?.postMessage(longest)
  if (toTell === 'begin') longest = 0
  toTell = undefined
}
