import { type Doc, isDoc, isItems, type Named, type Value } from '../wire/document.ts'
import { EngineFault } from '../wire/faults.ts'

/** Reads the document at an address of the API. */
export type ReadAt = (href: string) => Promise<Named>

/** Deepest path of links that is followed. */
const maxLevels = 4

/**
 * Puts what links lead to into a document, as `follow=nics,host.cluster` asks: the link of that name is replaced by the document
 * behind it. Of a collection this is done with each item. Names may be written with underscores. @throws EngineFault 400
 */
export async function followed({ root, doc }: Named, follow: string | undefined, read: ReadAt): Promise<Named> {
  const paths = (follow ?? '')
    .split(',')
    .map((path) => path.trim())
    .filter(Boolean)
  let at = doc
  for (const path of paths) {
    const names = path
      .toLowerCase()
      .split('.')
      .map((name) => name.replaceAll('_', ''))
    if (names.length > maxLevels) throw new EngineFault(400, 'Invalid value', `The path ${path} of follow is too long`)
    at = await within(at, names, read, isCollection(at))
  }
  return { root, doc: at }
}

/** A collection is a document whose only part is a list. */
function isCollection(doc: Doc): boolean {
  const values = Object.values(doc).filter((value) => value !== undefined)
  return doc.href === undefined && values.every(isItems)
}

async function within(doc: Doc, names: readonly string[], read: ReadAt, isList: boolean): Promise<Doc> {
  if (isList) {
    const parts: [string, Value][] = []
    for (const [name, value] of Object.entries(doc))
      if (isItems(value)) parts.push([name, await each(value, names, read)])
    return Object.fromEntries(parts)
  }
  const [name = '', ...rest] = names
  const into = (found: Doc) => (rest.length ? within(found, rest, read, isCollection(found)) : Promise.resolve(found))
  const links = isItems(doc.link) ? doc.link.filter((one) => isDoc(one)) : []
  const link = links.find(({ rel }) => rel === name)
  if (link) {
    const { root, doc: target } = await read(String(link.href))
    const others = links.filter((one) => one !== link)
    return { ...doc, link: others, [root]: await into(target) }
  }
  const own = Object.keys(doc).find((key) => key.replaceAll('_', '') === name)
  const value = own === undefined ? undefined : doc[own]
  if (own !== undefined && isDoc(value) && typeof value.href === 'string')
    return { ...doc, [own]: await into((await read(value.href)).doc) }
  if (own !== undefined && isDoc(value)) return { ...doc, [own]: await into(value) }
  if (isKnown(name)) return doc
  throw new EngineFault(400, 'Invalid value', `There is no link ${name} to follow`)
}

async function each(items: readonly Value[], names: readonly string[], read: ReadAt): Promise<readonly Doc[]> {
  const found: Doc[] = []
  for (const item of items) if (isDoc(item)) found.push(await within(item, names, read, false))
  return found
}

/** Links that only some entities of a kind have, such as the host of a VM that runs. */
const sometimes: readonly string[] = ['host', 'vnicprofile', 'vm', 'cluster', 'user', 'template', 'network']

function isKnown(name: string): boolean {
  return sometimes.includes(name)
}
