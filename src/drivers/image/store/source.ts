import { Fault } from '#base/fault.ts'
import { nameOf } from '../fetch/http-client.ts'
import { parseReference, type Reference, referenceText } from '../registry/reference.ts'

/** Where an image comes from: a registry, or a file of a web server. */
export type ImageSource = Readonly<
  { kind: 'registry'; reference: Reference; text: string } | { kind: 'url'; url: URL; text: string }
>

const namePattern = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/

/** Whether a text may be the name of an imported image. */
export function isImageName(text: string): boolean {
  return namePattern.test(text)
}

/** Parses what is no imported name. `text` of the result is the form in which it is remembered. @throws Fault Invalid */
export function parseSource(text: string): ImageSource {
  if (!/^https?:/i.test(text)) {
    const reference = parseReference(text)
    return { kind: 'registry', reference, text: referenceText(reference) }
  }
  const url = URL.parse(text)
  if (!url) throw new Fault('Invalid', `${JSON.stringify(text)} is no URL`)
  if (url.username || url.password)
    throw new Fault('Invalid', `${nameOf(url)} has a password in it, which would be remembered; give credentials apart`)
  url.hash = ''
  return { kind: 'url', url, text: url.href }
}
