import { SaxesParser } from 'saxes'
import { Fault } from '#base/fault.ts'

/** An element; attributes and children keep their order. Text is a string among the children. */
export type XmlElement = Readonly<{
  name: string
  attributes: Readonly<Record<string, string>>
  children: readonly XmlNode[]
}>
export type XmlNode = XmlElement | string

/** Makes an element. Attributes that are undefined and children that are false are left out. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number | undefined>> = {},
  ...children: readonly (XmlNode | false | undefined)[]
): XmlElement {
  const set = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, String(value)] as const],
  )
  return {
    name,
    attributes: Object.fromEntries(set),
    children: children.filter((child) => child !== false && child !== undefined),
  }
}

/** The elements among an element's children, optionally only those of a name. */
export function childElements(parent: XmlElement | undefined, name?: string): XmlElement[] {
  return (parent?.children ?? [])
    .filter((child) => typeof child !== 'string')
    .filter((child) => name === undefined || child.name === name)
}

/** The first element at a path of names below an element. */
export function findElement(parent: XmlElement | undefined, ...path: readonly string[]): XmlElement | undefined {
  return path.reduce<XmlElement | undefined>((at, name) => childElements(at, name)[0], parent)
}

/** The text directly in an element. */
export function textOf(one: XmlElement | undefined): string {
  return (one?.children ?? []).filter((child) => typeof child === 'string').join('')
}

/**
 * Reads one document. Comments and processing instructions are dropped, white space between elements is kept as text.
 * @throws Fault Bug for text that is not well-formed, or that declares a document type: only libvirt's XML is read.
 */
export function parseXml(text: string): XmlElement {
  const parser = new SaxesParser({ xmlns: false })
  const root: XmlNode[] = []
  const open: { name: string; attributes: Record<string, string>; children: XmlNode[] }[] = []
  const add = (node: XmlNode) => (open.at(-1)?.children ?? root).push(node)
  parser.on('doctype', () => parser.fail('a document type is not allowed'))
  parser.on('error', (cause) => {
    throw new Fault('Bug', 'Cannot read XML', { cause })
  })
  parser.on('opentag', ({ name, attributes }) => open.push({ name, attributes: { ...attributes }, children: [] }))
  parser.on('closetag', () => {
    const done = open.pop()
    if (done) add(done)
  })
  parser.on('text', (value) => open.length && add(value))
  parser.on('cdata', (value) => open.length && add(value))
  parser.write(text).close()
  return root.find((node) => typeof node !== 'string') as XmlElement
}

/** Writes an element and everything below it. */
export function serializeXml(node: XmlNode): string {
  if (typeof node === 'string') return escapeText(node)
  const attributes = Object.entries(node.attributes).map(([key, value]) => ` ${key}='${escapeAttribute(value)}'`)
  const start = `<${node.name}${attributes.join('')}`
  return node.children.length ? `${start}>${node.children.map(serializeXml).join('')}</${node.name}>` : `${start}/>`
}

/** Characters that no XML document may contain, even escaped. */
const forbidden = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u

function escapeText(text: string): string {
  if (forbidden.test(text)) throw new Fault('Invalid', 'The text contains a control character that XML cannot carry')
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('\r', '&#13;')
}

function escapeAttribute(value: string): string {
  return escapeText(value)
    .replaceAll("'", '&apos;')
    .replaceAll('"', '&quot;')
    .replaceAll('\n', '&#10;')
    .replaceAll('\t', '&#9;')
}
