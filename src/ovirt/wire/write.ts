import type { Json } from '#base/json.ts'
import { isDoc, isItems, type Named, partsOf, type Scalar, type Value } from './document.ts'

/**
 * Parts that are attributes in XML, in their order, beside those whose name begins with `@`, which come first. fence_rhevm finds a
 * VM's id as the last attribute of its line.
 */
const attributes: readonly string[] = ['href', 'rel', 'id']

const declaration = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'

/** Characters that no XML document may contain, even escaped. */
const forbidden = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu

/**
 * A document as the engine writes it: one element per line, four spaces, no namespace. Clients read it line by line
 * (facts/ovirt-clients.md §0.2).
 */
export function xmlText({ root, doc }: Named): string {
  const lines = [declaration]
  writeXml(root, doc, '', lines)
  return `${lines.join('\n')}\n`
}

function writeXml(name: string, value: Value, indent: string, lines: string[]): void {
  if (isItems(value)) {
    for (const item of value) writeXml(name, item, indent, lines)
    return
  }
  if (!isDoc(value)) {
    lines.push(`${indent}<${name}>${escaped(scalarText(value))}</${name}>`)
    return
  }
  const parts = partsOf(value)
  const isAttribute = ([part, of]: readonly [string, Value]) =>
    part.startsWith('@') || (attributes.includes(part) && typeof of === 'string')
  const own = parts
    .filter(isAttribute)
    .toSorted(([a], [b]) => attributes.indexOf(a) - attributes.indexOf(b))
    .map(([part, of]) => ` ${part.replace(/^@/, '')}="${escaped(String(of))}"`)
  const inner = parts.filter((part) => !isAttribute(part))
  const start = `${indent}<${name}${own.join('')}`
  if (!inner.length) {
    lines.push(`${start}/>`)
    return
  }
  lines.push(`${start}>`)
  for (const [part, of] of inner) writeXml(part, of, `${indent}    `, lines)
  lines.push(`${indent}</${name}>`)
}

function scalarText(value: Scalar): string {
  return value instanceof Date ? value.toISOString().replace('Z', '+00:00') : String(value)
}

function escaped(text: string): string {
  return text
    .replaceAll(forbidden, '\uFFFD')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\r', '&#13;')
}

/** Items of a long collection that are written at a time, so that others get their turn between them. */
const itemsAtATime = 100

/** A document as it is answered: whole, or a long collection in parts, each made when the client has read those before it. */
export function answerBody(named: Named, isJson: boolean): string | Iterable<Uint8Array> {
  const { root, doc } = named
  const [only, ...others] = partsOf(doc)
  const isLong = only !== undefined && !others.length && isItems(only[1]) && only[1].length > itemsAtATime
  if (!isLong || !isItems(only[1])) return isJson ? jsonText(named) : xmlText(named)
  const [item, items] = only
  if (isJson)
    return parts(
      items,
      `{${JSON.stringify(item)}:[`,
      ']}',
      (some) => some.map((one) => JSON.stringify(jsonOf(one))).join(),
      ',',
    )
  return parts(items, `${declaration}\n<${root}>\n`, `</${root}>\n`, (some) => {
    const lines: string[] = []
    for (const one of some) writeXml(item, one, '    ', lines)
    return `${lines.join('\n')}\n`
  })
}

function* parts<T>(
  items: readonly T[],
  start: string,
  end: string,
  text: (some: readonly T[]) => string,
  between = '',
): Iterable<Uint8Array> {
  for (let at = 0; at < items.length; at += itemsAtATime) {
    const before = at === 0 ? start : between
    yield Buffer.from(`${before}${text(items.slice(at, at + itemsAtATime))}`)
  }
  yield Buffer.from(end)
}

/** A document as the engine's JSON: every scalar a string but dates, which are milliseconds since 1970. */
export function jsonText({ doc }: Named): string {
  return JSON.stringify(jsonOf(doc))
}

function jsonOf(value: Value): Json {
  if (isItems(value)) return value.map((item) => jsonOf(item))
  if (value instanceof Date) return value.getTime()
  if (!isDoc(value)) return String(value)
  return Object.fromEntries(partsOf(value).map(([name, of]) => [name, jsonOf(of)]))
}
