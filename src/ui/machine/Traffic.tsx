import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { delay } from '#base/wait.ts'
import { client } from '../api/cluster.ts'
import type { Machine } from '../model/machine.ts'
import { ratesOf, type Sample, sampleOf } from '../model/traffic.ts'
import { words } from '../words.ts'
import { OfGuest } from './OfGuest.tsx'

/** Time between samples, milliseconds. They are taken only while this view is open. */
const everyMs = 2000
/** Samples that are kept: five minutes. */
const maxSamples = 150

/** Seconds that a plot shows at least. */
const shownSeconds = 60

/** Traffic of each card, as small plots. */
export function Traffic() {
  return <OfGuest act="traffic">{(machine) => <Plots key={machine.vmi?.metadata.uid} machine={machine} />}</OfGuest>
}

function Plots({ machine }: Readonly<{ machine: Machine }>) {
  const [samples, setSamples] = useState<readonly Sample[]>([])
  const [isMissing, setMissing] = useState(false)
  useEffect(() => {
    const stop = new AbortController()
    void sample(machine, stop.signal, (next) => {
      if (next) setSamples((before) => [...before, next].slice(-maxSamples))
      setMissing(next === undefined)
    })
    return () => stop.abort()
  }, [])
  if (isMissing && !samples.length) return <p class="dim">{words.traffic.unavailable}</p>
  return (
    <div class="plots">
      {(samples.at(-1)?.cards ?? []).map(({ name, troubles }) => (
        <section key={name}>
          <h2>{words.traffic.label(name)}</h2>
          <Plot samples={samples} name={name} />
          <p class={troubles ? 'bad' : 'dim'}>{words.traffic.errors(troubles)}</p>
        </section>
      ))}
    </div>
  )
}

/** Takes a sample now and then while it is looked at. */
async function sample({ namespace, name }: Machine, signal: AbortSignal, take: (next: Sample | undefined) => void) {
  const path = `/apis/subresources.kubevirt.io/v1/namespaces/${encodeURIComponent(namespace)}/virtualmachineinstances/${encodeURIComponent(name)}/traffic`
  while (!signal.aborted) {
    const isSeen = document.visibilityState === 'visible'
    if (isSeen) {
      // A server without counters, or one that is gone: said where the plots would be.
      const answer = await client.call('GET', path).catch(() => undefined)
      if (!signal.aborted) take(sampleOf(answer))
    }
    await delay(everyMs, signal).catch(() => {})
  }
}

function Plot({ samples, name }: Readonly<{ samples: readonly Sample[]; name: string }>) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(null)
  useEffect(() => {
    if (!box.current) return
    plot.current = new uPlot(optionsFor(box.current), [[], [], []], box.current)
    return () => plot.current?.destroy()
  }, [])
  const rates = ratesOf(samples, name)
  useEffect(() => {
    const [times, received, sent] = rates
    // uPlot shows years around a single moment, so an empty one goes before.
    const before = (times[0] ?? 0) - shownSeconds
    plot.current?.setData([
      [before, ...times],
      [null, ...received],
      [null, ...sent],
    ])
  })
  return <div class="plot" ref={box} role="img" aria-label={textOf(name, rates)} />
}

function textOf(name: string, [, received, sent]: ReturnType<typeof ratesOf>): string {
  const now = (list: readonly number[]) => `${(list.at(-1) ?? 0).toFixed(1)} ${words.traffic.unit}`
  return `${words.traffic.label(name)}: ${words.traffic.rx} ${now(received)}, ${words.traffic.tx} ${now(sent)}`
}

function optionsFor(box: HTMLElement): uPlot.Options {
  // A canvas knows no variables of style sheets.
  const style = getComputedStyle(box)
  const probe = (name: string) => {
    box.style.color = `var(${name})`
    const { color } = style
    box.style.color = ''
    return color
  }
  const axis = { stroke: probe('--dim'), grid: { stroke: probe('--line'), width: 1 } }
  return {
    width: Math.max(280, box.clientWidth),
    height: 160,
    cursor: { show: false },
    legend: { live: false },
    scales: {
      x: { range: (_, first, last) => [Math.min(first, last - shownSeconds), last] },
      y: { range: (_, _least, most) => [0, Math.max(1, most * 1.1)] },
    },
    series: [
      {},
      { label: `${words.traffic.rx} ${words.traffic.unit}`, stroke: probe('--up'), width: 2 },
      { label: `${words.traffic.tx} ${words.traffic.unit}`, stroke: probe('--moving'), width: 2, dash: [5, 4] },
    ],
    axes: [axis, { ...axis, size: 60 }],
  }
}
