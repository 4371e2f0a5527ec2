import { dump, load } from 'js-yaml'
import { explain, Fault } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import { lineOf } from '../model/yaml-lines.ts'
import { words } from '../words.ts'

/** What is wrong with a manifest, at the lines of its fields. */
export type Problem = Readonly<{ line: number; message: string }>

/** An object as YAML. */
export function toYaml(value: unknown): string {
  return dump(value, { lineWidth: 120, noRefs: true })
}

/** Reads a manifest, or says where it cannot be read. */
export function readYaml(text: string): Readonly<{ object: JsonObject }> | Readonly<{ problem: Problem }> {
  try {
    const value: unknown = load(text)
    return isObject(value) ? { object: value } : { problem: { line: 1, message: words.yaml.unreadable } }
  } catch (error) {
    const line = isObject(error) && isObject(error.mark) ? Number(error.mark.line) + 1 : 1
    return { problem: { line, message: `${words.yaml.unreadable}: ${explain(error).split('\n')[0]}` } }
  }
}

/** The causes of a refusal, at their lines. */
export function problemsIn(error: unknown, text: string): readonly Problem[] {
  const details = error instanceof Fault ? error.data.details : undefined
  const causes = isObject(details) && Array.isArray(details.causes) ? details.causes : []
  const found = causes.flatMap((cause: unknown): Problem[] => {
    if (!isObject(cause)) return []
    const field = String(cause.field ?? '')
    return [{ line: lineOf(text, field), message: `${field}: ${String(cause.message ?? '')}` }]
  })
  return found.length ? found : [{ line: 1, message: explain(error) }]
}
