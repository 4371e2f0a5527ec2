import { signal } from '@preact/signals'
import { useEffect, useRef, useState } from 'preact/hooks'
import { client, rails } from '../api/cluster.ts'
import { missing } from '../api/rights.ts'
import { type Editor, openEditor } from '../editor/editor.ts'
import { type Problem, problemsIn, readYaml, toYaml } from '../editor/manifest.ts'
import { say } from '../gesture/toasts.ts'
import { networkNameFor } from '../model/gesture.ts'
import { type Draft, emptyDraft, manifestOf, nextCard, podChoice } from '../model/new-machine.ts'
import { machineLink } from '../route.ts'
import { words } from '../words.ts'
import { Cards } from './Cards.tsx'
import './create.css'

/** Kept while the page is open: a form that is left is not lost. */
const draft = signal<Draft>(emptyDraft)

/** A form with few fields, and the manifest that it makes beside it. */
export function Create() {
  const host = useRef<HTMLDivElement>(null)
  const editor = useRef<Editor>(null)
  const [problems, setProblems] = useState<readonly Problem[]>([])
  const now = draft.value
  const why = missing('create', now.namespace, '')
  useEffect(() => {
    if (!host.current) return
    editor.current = openEditor(host.current, { label: words.create.yaml, text: toYaml(manifestOf(draft.value)) })
    return () => editor.current?.end()
  }, [])
  const change = (next: Partial<Draft>) => {
    draft.value = { ...draft.value, ...next }
    // What was wrong may be mended by this.
    setProblems([])
    editor.current?.setText(toYaml(manifestOf(draft.value)))
  }
  const submit = async () => {
    const text = editor.current?.text() ?? ''
    const found = await create(text)
    setProblems(found)
    editor.current?.setProblems(found)
    if (!found.length) draft.value = emptyDraft
  }
  return (
    <main class="view create">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (why === undefined) void submit()
        }}
      >
        <h1>{words.create.title}</h1>
        <Fields draft={now} onChange={change} />
        <Cards
          cards={now.cards}
          networks={networksFor(now.namespace)}
          onChange={(cards) => change({ cards })}
          onAdd={() => change({ cards: [...now.cards, nextCard(now.cards, networksFor(now.namespace))] })}
        />
        <ul role="alert" class="problems bad">
          {problems.map(({ message }) => (
            <li key={message}>{message}</li>
          ))}
        </ul>
        {why !== undefined && <p class="warn">{why}</p>}
        <button type="submit" class="primary" aria-disabled={why !== undefined}>
          {words.create.submit}
        </button>
      </form>
      <section aria-label={words.create.yaml}>
        <h2>{words.create.yaml}</h2>
        <div class="editor-box" ref={host} />
      </section>
    </main>
  )
}

function networksFor(namespace: string): readonly string[] {
  return [
    podChoice,
    ...rails.value.filter(({ kind }) => kind === 'nad').map(({ key }) => networkNameFor(key, namespace)),
  ]
}

/** Creates what the editor says. Resolves to what is wrong with it. */
async function create(text: string): Promise<readonly Problem[]> {
  const read = readYaml(text)
  if ('problem' in read) return [read.problem]
  const { metadata } = read.object
  const { namespace = 'default', name = '' } = (metadata ?? {}) as Readonly<{ namespace?: string; name?: string }>
  try {
    const path = `/apis/kubevirt.io/v1/namespaces/${encodeURIComponent(namespace)}/virtualmachines`
    await client.call('POST', path, read.object)
  } catch (error) {
    return problemsIn(error, text)
  }
  say(words.create.made(name))
  location.hash = machineLink(namespace, name)
  return []
}

type FieldProps = Readonly<{ draft: Draft; onChange: (next: Partial<Draft>) => void }>

function Fields({ draft: now, onChange }: FieldProps) {
  return (
    <div class="fields">
      <Text label={words.create.name} value={now.name} onInput={(name) => onChange({ name })} isRequired />
      <Text
        label={words.create.namespace}
        value={now.namespace}
        onInput={(namespace) => onChange({ namespace })}
        isRequired
      />
      <label>
        {words.create.source}
        <select
          value={now.source}
          onChange={(event) => {
            const source = sources.find((one) => one === event.currentTarget.value)
            if (source) onChange({ source })
          }}
        >
          {sources.map((one) => (
            <option key={one} value={one}>
              {words.create.sources[one]}
            </option>
          ))}
        </select>
      </label>
      <Text label={words.create.image} value={now.image} onInput={(image) => onChange({ image })} isRequired />
      <Text label={words.create.memory} value={now.memory} onInput={(memory) => onChange({ memory })} isRequired />
      <label>
        {words.create.cpus}
        <input
          type="number"
          min={1}
          max={64}
          value={now.cpus}
          onInput={(event) => onChange({ cpus: Math.max(1, event.currentTarget.valueAsNumber || 1) })}
        />
      </label>
      <label class="long">
        {words.create.sshKey}
        <input
          value={now.sshKey}
          placeholder={words.create.sshHint}
          onInput={(event) => onChange({ sshKey: event.currentTarget.value })}
        />
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={now.isStarted}
          onChange={(event) => onChange({ isStarted: event.currentTarget.checked })}
        />
        {words.create.start}
      </label>
    </div>
  )
}

const sources = ['kernelBoot', 'containerDisk', 'claim'] as const

type TextProps = Readonly<{ label: string; value: string; onInput: (value: string) => void; isRequired?: boolean }>

function Text({ label, value, onInput, isRequired = false }: TextProps) {
  return (
    <label>
      {label}
      <input value={value} required={isRequired} onInput={(event) => onInput(event.currentTarget.value)} />
    </label>
  )
}
