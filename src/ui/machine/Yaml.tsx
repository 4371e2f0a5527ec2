import { useEffect, useRef, useState } from 'preact/hooks'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { faultKind } from '#base/fault.ts'
import { client, machines } from '../api/cluster.ts'
import { vms } from '../api/kinds.ts'
import { missing } from '../api/rights.ts'
import { type Editor, openEditor } from '../editor/editor.ts'
import { type Problem, problemsIn, readYaml, toYaml } from '../editor/manifest.ts'
import type { Machine } from '../model/machine.ts'
import { words } from '../words.ts'
import { shownMachine } from './state.ts'

type Note = Readonly<{ text: string; isBad: boolean; isConflict?: boolean }>

/** The manifest of a machine: edited, tried by the server, and saved. */
export function Yaml() {
  const machine = shownMachine.value
  return machine ? <Manifest machine={machine} /> : null
}

function Manifest({ machine }: Readonly<{ machine: Machine }>) {
  const host = useRef<HTMLDivElement>(null)
  const editor = useRef<Editor>(null)
  const base = useRef(machine.vm)
  const [note, setNote] = useState<Note>({ text: '', isBad: false })
  const why = missing('update', machine.namespace, machine.name)
  const show = (vm: Stored<VirtualMachine>) => {
    base.current = vm
    editor.current?.setText(textOf(vm))
    editor.current?.setProblems([])
    setNote({ text: '', isBad: false })
  }
  useEffect(() => {
    if (!host.current) return
    editor.current = openEditor(host.current, { label: words.yaml.label, text: textOf(base.current) })
    return () => editor.current?.end()
  }, [])
  const send = async (isDryRun: boolean, isForced = false) => {
    const open = editor.current
    if (!open) return
    const text = open.text()
    const result = await write(machine, text, { isDryRun, isForced })
    open.setProblems(result.problems)
    setNote(result.note)
    if (result.saved) base.current = result.saved
  }
  const isOld = machine.vm.metadata.generation !== base.current.metadata.generation
  return (
    <>
      <div class="editor-bar">
        <button type="button" onClick={() => void send(true)}>
          {words.yaml.check}
        </button>
        <button
          type="button"
          class="primary"
          aria-disabled={why !== undefined}
          title={why}
          onClick={() => why === undefined && void send(false)}
        >
          {words.yaml.save}
        </button>
        {(isOld || note.isConflict) && (
          <Newer
            isConflict={note.isConflict === true}
            onLoad={() => show(machine.vm)}
            onOverwrite={() => void send(false, true)}
          />
        )}
        <span role="status" class={note.isBad ? 'bad' : 'up'}>
          {note.text}
        </span>
      </div>
      <div class="editor-box" ref={host} />
    </>
  )
}

type NewerProps = Readonly<{ isConflict: boolean; onLoad: () => void; onOverwrite: () => void }>

/** What can be done when another client has changed the object meanwhile. */
function Newer({ isConflict, onLoad, onOverwrite }: NewerProps) {
  return (
    <>
      {!isConflict && <span class="warn">{words.yaml.changed}</span>}
      <button type="button" onClick={onLoad}>
        {words.yaml.reload}
      </button>
      {isConflict && (
        <button type="button" onClick={onOverwrite}>
          {words.yaml.overwrite}
        </button>
      )}
    </>
  )
}

/** Without the lists of who owns which field, which are not edited. */
function textOf({ metadata, status: _, ...rest }: Stored<VirtualMachine>): string {
  const { managedFields: _fields, ...shown } = metadata
  const { apiVersion, kind, ...others } = rest
  return toYaml({ apiVersion, kind, metadata: shown, ...others })
}

type Written = Readonly<{ note: Note; problems: readonly Problem[]; saved?: Stored<VirtualMachine> }>

async function write(
  { namespace, name, key }: Machine,
  text: string,
  { isDryRun, isForced }: Readonly<{ isDryRun: boolean; isForced: boolean }>,
): Promise<Written> {
  const read = readYaml(text)
  if ('problem' in read) return { note: { text: read.problem.message, isBad: true }, problems: [read.problem] }
  const { metadata, ...rest } = read.object
  const now = machines.value.get(key)?.vm.metadata.resourceVersion
  const meta = typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata) ? metadata : {}
  const body = { ...rest, metadata: { ...meta, ...(isForced && now !== undefined && { resourceVersion: now }) } }
  const path = `/apis/kubevirt.io/v1/namespaces/${encodeURIComponent(namespace)}/virtualmachines/${encodeURIComponent(name)}`
  try {
    await client.call('PUT', `${path}${isDryRun ? '?dryRun=All' : ''}`, body)
    if (isDryRun) return { note: { text: words.yaml.ok, isBad: false }, problems: [] }
    const saved = await client.get(vms, { namespace, name })
    return { note: { text: words.yaml.saved, isBad: false }, problems: [], ...(saved && { saved }) }
  } catch (error) {
    if (faultKind(error) === 'Conflict')
      return { note: { text: words.yaml.conflict, isBad: true, isConflict: true }, problems: [] }
    const problems = problemsIn(error, text)
    return { note: { text: problems.map(({ message }) => message).join('; '), isBad: true }, problems }
  }
}
