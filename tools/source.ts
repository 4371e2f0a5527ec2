import { type Node, parseSync } from 'oxc-parser'

/** An import of a module, as written; one of types only is gone at run time. */
type Import = Readonly<{ from: string; isType: boolean }>

/** A function with a body, and where it is: lines count from 1. */
type Func = Readonly<{ name: string; line: number; lines: number }>

/** Everything the checks ask of a file. */
export type Source = Readonly<{
  imports: readonly Import[]
  /** Names that are read as values, be they declared in the file or not. */
  names: ReadonlySet<string>
  functions: readonly Func[]
}>

/** Reads TypeScript as a compiler does, so that neither comments nor texts are taken for code. @throws for what is no TypeScript */
export function parseSource(file: string, text: string): Source {
  const known = parsed.get(file)
  if (known?.text === text) return known.source
  const source = parse(file, text)
  parsed.set(file, { text, source })
  return source
}

/** What was read before: every check asks for every file. */
const parsed = new Map<string, { text: string; source: Source }>()

function parse(file: string, text: string): Source {
  const { program, errors } = parseSync(file, text)
  if (errors.length) throw new Error(`${file}: ${errors[0]?.message}`)
  const found = { imports: [] as Import[], names: new Set<string>(), functions: [] as Func[] }
  const starts = lineStarts(text)
  const lineOf = (offset: number) => starts.findLastIndex((start) => start <= offset) + 1
  visit(program, undefined, (node, parent) => {
    const from = importIn(node)
    if (from) found.imports.push(from)
    if (node.type === 'Identifier' && parent && isRead(node, parent)) found.names.add(node.name)
    if (!isFunction(node)) return
    const line = lineOf(node.start)
    found.functions.push({ name: nameOf(node, parent), line, lines: lineOf(node.end) - line + 1 })
  })
  return found
}

type Visitor = (node: Node, parent: Node | undefined) => void

function visit(node: Node, parent: Node | undefined, visitor: Visitor): void {
  visitor(node, parent)
  for (const value of Object.values(node))
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) visit(child, node, visitor)
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

function importIn(node: Node): Import | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
      return { from: node.source.value, isType: node.importKind === 'type' }
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
      return node.source ? { from: node.source.value, isType: node.exportKind === 'type' } : undefined
    case 'ImportExpression': {
      const { source } = node
      return source.type === 'Literal' && typeof source.value === 'string'
        ? { from: source.value, isType: false }
        : undefined
    }
    default:
      return undefined
  }
}

/** Whether an identifier is a value that is read, and neither the name of a member nor part of a type. */
function isRead(node: Node, parent: Node): boolean {
  if (parent.type === 'MemberExpression') return parent.computed || parent.object === node
  if (parent.type === 'Property') return parent.value === node || parent.computed
  if (parent.type === 'MethodDefinition' || parent.type === 'PropertyDefinition')
    return parent.value === node || parent.computed
  return !parent.type.startsWith('TS') || valueParents.has(parent.type)
}

const valueParents: ReadonlySet<string> = new Set(['TSAsExpression', 'TSSatisfiesExpression', 'TSNonNullExpression'])

function isFunction(node: Node): boolean {
  return /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)
}

/** What a function is called: by itself, by what holds it, or as what it is given to. */
function nameOf(node: Node, parent: Node | undefined): string {
  if ('id' in node && isNode(node.id) && 'name' in node.id) return String(node.id.name)
  for (const holder of ['key', 'id', 'callee'] as const)
    if (parent && holder in parent) {
      const named: unknown = Reflect.get(parent, holder)
      const name = isNode(named) && ('name' in named ? named.name : undefined)
      if (name) return holder === 'callee' ? `${name}()` : String(name)
    }
  return 'function'
}

function lineStarts(text: string): number[] {
  return [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)]
}
