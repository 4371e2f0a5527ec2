import { Fault } from '#base/fault.ts'

/**
 * Most values in one body: each object, list, text and number counts. The VM with the most interfaces has some 5,000, and as
 * many again for each manager of all its fields; all other requests wait while these are processed.
 */
export const maxBodyValues = 20_000

/** Most line ends, commas, colons and brackets of a YAML body: its values can be counted only after they have been read. */
const maxYamlMarks = 100_000

const code = (letter: string) => letter.charCodeAt(0)
const [quote, backslash, comma, bracket, brace] = [code('"'), code('\\'), code(','), code('['), code('{')]
const yamlMarks = new Set(Buffer.from('\n,:[{'))

/** Whether a JSON text has more values than `most`, without reading it: each but the first stands behind a comma or is the first of its list or object. */
export function hasMoreValues(json: Buffer, most: number): boolean {
  let left = most - 1
  let isText = false
  for (let at = 0; at < json.length; at++) {
    const byte = json[at]
    if (isText) {
      if (byte === backslash) at++
      else if (byte === quote) isText = false
    } else if (byte === quote) isText = true
    else if ((byte === comma || byte === bracket || byte === brace) && --left < 0) return true
  }
  return false
}

/** @throws Fault TooLarge for a YAML text that would take long to read */
export function requireShortYaml(yaml: Buffer): void {
  let left = maxYamlMarks
  for (const byte of yaml)
    if (yamlMarks.has(byte) && --left < 0)
      throw new Fault(
        'TooLarge',
        `a YAML body has at most ${maxYamlMarks} line ends, commas, colons and brackets; send application/json`,
      )
}
