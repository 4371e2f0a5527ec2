/** A value without parts. In JSON all are strings, but for dates, which are numbers of milliseconds (oVirt 4). */
export type Scalar = string | number | boolean | Date

/**
 * A document of oVirt's API, the same for XML and JSON. A list is an element that comes several times; a collection inside an
 * entity is a document with such a list (`ips: { ip: […] }`).
 */
export type Doc = { readonly [name: string]: Value | undefined }
type Item = Scalar | Doc
export type Value = Item | readonly Item[]

/** A document and the name of its root element, which JSON does not show. */
export type Named = Readonly<{ root: string; doc: Doc }>

export function isDoc(value: Value | undefined): value is Doc {
  return typeof value === 'object' && !isItems(value) && !(value instanceof Date)
}

export function isItems(value: Value | undefined): value is readonly Item[] {
  return Array.isArray(value)
}

/** The parts of a document that are written: those with a value. Of an empty list there is nothing to write. */
export function partsOf(doc: Doc): [name: string, value: Value][] {
  const isWritten = (value: Value | undefined) => value !== undefined && !(isItems(value) && !value.length)
  return Object.entries(doc).flatMap(([name, value]): [string, Value][] =>
    value !== undefined && isWritten(value) ? [[name, value]] : [],
  )
}
