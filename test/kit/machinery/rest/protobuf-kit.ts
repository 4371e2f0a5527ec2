// How clients write protobuf, for tests.

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80)
  return Buffer.from([...bytes, rest])
}

/** A field whose content goes by its length. */
export function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(content.length), content])
}

/** A field that is a string. */
export function text(number: number, value: string): Buffer {
  return field(number, Buffer.from(value))
}

/** The body of an object whose fields are `raw`. */
export function protobufOf(apiVersion: string, kind: string, raw: Buffer): Buffer {
  const typeMeta = Buffer.concat([text(1, apiVersion), text(2, kind)])
  return Buffer.concat([Buffer.from('k8s\0'), field(1, typeMeta), field(2, raw)])
}
