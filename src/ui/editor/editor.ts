import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { yaml } from '@codemirror/lang-yaml'
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { type Diagnostic, lintGutter, setDiagnostics } from '@codemirror/lint'
import { EditorState } from '@codemirror/state'
import { drawSelection, EditorView, keymap, lineNumbers } from '@codemirror/view'
import { tags } from '@lezer/highlight'

/** A YAML editor in an element. */
export type Editor = Readonly<{
  text: () => string
  setText: (text: string) => void
  /** Marks lines (counted from 1) with what is wrong there. */
  setProblems: (problems: readonly Readonly<{ line: number; message: string }>[]) => void
  end: () => void
}>

export type EditorOptions = Readonly<{
  label: string
  text: string
  isReadOnly?: boolean
  onChange?: (text: string) => void
}>

const looks = EditorView.theme({
  '&': { height: '100%', backgroundColor: 'var(--panel)', color: 'var(--text)', fontSize: '12.5px' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-2px' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.5' },
  '.cm-content': { caretColor: 'var(--text)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': { backgroundColor: 'var(--raised)', color: 'var(--dim)', border: 'none' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'color-mix(in srgb, var(--accent) 25%, transparent) !important',
  },
  '.cm-tooltip': { backgroundColor: 'var(--panel)', color: 'var(--text)', border: '1px solid var(--line-strong)' },
  '.cm-lintRange-error': { textDecoration: 'underline wavy var(--failed)', backgroundImage: 'none' },
})

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--accent)' },
  { tag: [tags.string, tags.content], color: 'var(--text)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--migrating)' },
  { tag: tags.comment, color: 'var(--dim)' },
])

/**
 * Opens an editor. It lives in a shadow root, where it may use style sheets that are made at run time, which the page's policy
 * does not allow as style elements.
 */
export function openEditor(host: HTMLElement, { label, text, isReadOnly = false, onChange }: EditorOptions): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' })
  const parent = document.createElement('div')
  parent.style.height = '100%'
  root.replaceChildren(parent)
  const view = new EditorView({
    root,
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        yaml(),
        lintGutter(),
        syntaxHighlighting(colours),
        looks,
        EditorState.readOnly.of(isReadOnly),
        EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' }),
        keymap.of([...defaultKeymap, ...historyKeymap]),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) onChange?.(update.state.doc.toString())
        }),
      ],
    }),
  })
  return {
    text: () => view.state.doc.toString(),
    setText: (next) => {
      if (next !== view.state.doc.toString())
        view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } })
    },
    setProblems: (problems) => {
      const marks = problems.map((one) => markOf(view, one))
      view.dispatch(setDiagnostics(view.state, marks))
      if (marks[0]) view.dispatch({ effects: EditorView.scrollIntoView(marks[0].from, { y: 'center' }) })
    },
    end: () => view.destroy(),
  }
}

function markOf(view: EditorView, { line, message }: Readonly<{ line: number; message: string }>): Diagnostic {
  const { from, to } = view.state.doc.line(Math.max(1, Math.min(line, view.state.doc.lines)))
  return { from, to, severity: 'error', message }
}
