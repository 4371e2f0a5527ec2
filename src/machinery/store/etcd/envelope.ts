import { isObject, type JsonObject, parsedJson } from '#base/json.ts'

/**
 * What a value in etcd holds: a line with the identity of the write, by which its writer recognises it when the answer was lost,
 * and the JSON. Of a delete without last words the JSON is empty.
 */
export type Envelope = Readonly<{ id: string; text: string }>

export function sealed({ id, text }: Envelope): Buffer {
  return Buffer.from(`${id}\n${text}`)
}

export function opened(value: Buffer): Envelope {
  const end = value.indexOf(0x0a)
  return end < 0
    ? { id: '', text: value.toString('utf8') }
    : { id: value.toString('latin1', 0, end), text: value.toString('utf8', end + 1) }
}

/** The value of an object; undefined when it is none, which only another program can have written. */
export function objectIn(text: string): JsonObject | undefined {
  const value = parsedJson(text)
  return isObject(value) ? value : undefined
}
