import { SaxesParser } from 'saxes'
import { isDeeperThan, isList, isObject, type Json, parsedJson } from '#base/json.ts'
import { badSyntax } from './faults.ts'

/** Deepest nesting of what clients send; the engine's own documents have less than ten levels. */
const maxLevels = 32

/**
 * What a client sent: an element of XML, or a value of JSON, which look the same. Attributes and elements are both parts. Where
 * a part comes several times, `all` has them and `at` the first.
 */
export class Input {
  readonly #parts = new Map<string, Input[]>()
  #text = ''

  /** The text of an element without parts. */
  get text(): string {
    return this.#text
  }

  append(text: string): void {
    this.#text += text
  }

  add(name: string, part: Input): void {
    const list = this.#parts.get(name)
    if (list) list.push(part)
    else this.#parts.set(name, [part])
  }

  /** The first part at a path of names. */
  at(...path: readonly string[]): Input | undefined {
    return path.reduce<Input | undefined>((one, name) => one?.all(name)[0], this)
  }

  all(name: string): readonly Input[] {
    return this.#parts.get(name) ?? []
  }

  /** The text at a path, without white space around it; undefined when there is nothing at the path. */
  textAt(...path: readonly string[]): string | undefined {
    return this.at(...path)?.text.trim()
  }
}

/** The body of a request as what it says; an empty body is an empty input. @throws EngineFault 400 for malformed ones */
export function readInput(body: string, isJson: boolean): Input {
  if (!body.trim()) return new Input()
  return isJson ? jsonInput(body) : xmlInput(body)
}

function jsonInput(body: string): Input {
  const value = parsedJson(body)
  if (!isObject(value) || isDeeperThan(value, maxLevels)) throw badSyntax('the body is no JSON object')
  return inputOf(value)
}

function inputOf(value: Json): Input {
  const input = new Input()
  if (isObject(value))
    for (const [name, part] of Object.entries(value)) {
      const parts = isList(part) ? part : [part]
      for (const one of parts) if (one !== undefined && one !== null) input.add(name, inputOf(one))
    }
  else input.append(String(value))
  return input
}

/** No document type is read, and so no entity that is not XML's own. */
function xmlInput(body: string): Input {
  const parser = new SaxesParser({ xmlns: false })
  const open: Input[] = []
  let root: Input | undefined
  let trouble: string | undefined
  parser.on('doctype', () => {
    trouble ??= 'a document type is not allowed'
  })
  parser.on('error', ({ message }) => {
    trouble ??= message
  })
  parser.on('opentag', ({ name, attributes }) => {
    const one = new Input()
    for (const [attribute, value] of Object.entries(attributes)) {
      const part = new Input()
      part.append(value)
      one.add(attribute, part)
    }
    open.at(-1)?.add(name, one)
    root ??= one
    open.push(one)
    if (open.length > maxLevels) trouble ??= 'the body is nested too deep'
  })
  parser.on('closetag', () => open.pop())
  parser.on('text', (text) => open.at(-1)?.append(text))
  parser.on('cdata', (text) => open.at(-1)?.append(text))
  // What makes the parser stop is said by its handler; after the first trouble the rest has no meaning.
  for (let at = 0; at < body.length && trouble === undefined; at += 65_536) parser.write(body.slice(at, at + 65_536))
  if (trouble === undefined) parser.close()
  if (trouble !== undefined || !root) throw badSyntax(trouble ?? 'the body has no element')
  return root
}
