import { globSync, readFileSync } from 'node:fs'
import { type Comment, type Node, parseSync } from 'oxc-parser'

/**
 * Words that name no component, and phrases that are no idiom of the field, each with its replacement
 * (docs/CONTRIBUTING.md). Test titles and tests are not checked: docs/SPECIFICATION.md quotes them.
 */
const words: Readonly<Record<string, string>> = {
  whoever: 'the component, user or client',
  whom: 'the component, user or client',
  somebody: 'another client, user or process',
  "somebody's": 'the owner',
  anybody: 'the component, user or client',
  nobody: 'no client, user or component',
  "nobody's": 'the owner',
  everybody: 'all users',
  anew: 'again',
  'to be had': 'available',
  'is told': 'gets, is called with, is reported',
  'are told': 'get, are called with, are reported',
  'was told': 'got, was called with, was reported',
  'be told': 'get, be reported',
  'is told of': 'is reported',
  'tell of': 'report',
  'tells of': 'reports',
  'told of': 'reported',
  'not any more': 'no longer',
  'becomes of': 'the outcome of',
  strangers: 'orphans',
  stragglers: 'orphaned processes',
  strays: 'orphaned sandboxes',
}

/** The rooms, which are all checked. */
const rooms = '{agent,apis,base,bin,cli,controllers,core,machinery,server,drivers,ui}'

/** Of these files only comments are checked: their texts are the descriptions of the published schema. */
const published = /^src\/apis\//

/** Files with sentences of other systems or names of tests, each with the reason. */
const exceptions: Readonly<Record<string, string>> = {
  'docs/SPECIFICATION.md': 'names tests, whose titles are not checked',
}

/** Words of the list in comments and string literals of a TypeScript file, or in a document. `file` is relative to the checkout. */
export function wrongWords(file: string, text: string): string[] {
  const parts = /\.tsx?$/.test(file) ? partsOf(file, text) : [{ start: 0, text: withoutCode(text) }]
  return parts.flatMap(({ start, text: part }) =>
    // A phrase may be broken by a line of a comment.
    [
      ...part
        .replace(/\n *\*(?= )/g, blank)
        .replace(/\s/g, ' ')
        .matchAll(pattern),
    ].map(({ 0: found, index }) => {
      const line = text.slice(0, start + index).split('\n').length
      const word = found.replace(/ +/g, ' ')
      return `${file}:${line} says "${word}"; name ${words[word.toLowerCase()]}`
    }),
  )
}

/** A longer phrase comes before its parts, and may have any number of blanks between its words. */
const phrases = Object.keys(words).sort((a, b) => b.length - a.length)
const pattern = new RegExp(`(?<![\\w'-])(${phrases.join('|').replaceAll(' ', ' +')})(?![\\w-])`, 'gi')

type Part = Readonly<{ start: number; text: string }>

function partsOf(file: string, text: string): Part[] {
  const { program, comments } = parseSync(file, text)
  return [...comments.map(commentPart), ...(published.test(file) ? [] : literals(program))]
}

function commentPart({ start, value }: Comment): Part {
  return { start: start + 2, text: value }
}

function literals(node: Node): Part[] {
  if (node.type === 'Literal') return typeof node.value === 'string' ? [{ start: node.start, text: node.value }] : []
  if (node.type === 'TemplateElement') return [{ start: node.start, text: node.value.raw }]
  return Object.values(node)
    .flat()
    .flatMap((child) => (isNode(child) ? literals(child) : []))
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

/** Code spans name tests and commands: blanks take their place, so that lines count as before. */
function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, blank).replace(/`[^`\n]*`/g, blank)
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ')
}

/** Looks at every file of the rooms, and at the documents. */
export function checkProse(root: string): string[] {
  const files = globSync([`src/${rooms}/**/*.{ts,tsx}`, '*.md', 'docs/**/*.md'], { cwd: root })
  const gone = Object.keys(exceptions).filter((one) => !files.includes(one))
  return [
    ...files
      .filter((one) => !one.endsWith('.test.ts') && !(one in exceptions))
      .flatMap((file) => wrongWords(file, readFileSync(`${root}/${file}`, 'utf8'))),
    ...gone.map((one) => `${one} is gone; take it out of tools/prose.ts`),
  ]
}
