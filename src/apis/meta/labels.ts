import { isObject } from '#base/json.ts'
import { type FieldError, invalidValue, maxErrors } from './object.ts'

const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/
const labelKey = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/

/** Longest value of a label, characters. */
const maxLabelValue = 63

/** Whether a text can be the key of a label. */
export function isLabelKey(text: string): boolean {
  if (text.length > 63 + 1 + 253) return false
  const [name = '', prefix = ''] = text.split('/').toReversed()
  return labelKey.test(text) && name.length <= 63 && prefix.length <= 253
}

/** Most bytes of all annotations together (Kubernetes' limit). */
const maxAnnotationBytes = 256 * 1024
/** Most labels of one object, since selectors check them. */
const maxLabels = 1000

const utf8 = new TextEncoder()

/** All errors in the labels or annotations of the metadata at `at`. Of too large ones only the size is reported. */
export function mapErrors(at: string, map: 'labels' | 'annotations', entries: unknown): FieldError[] {
  const field = `${at}.${map}`
  const bad = (message: string) => invalidValue(field, message)
  if (entries === undefined || entries === null) return []
  if (!isObject(entries)) return [bad('Invalid value: must be a map of strings')]
  const count = Object.keys(entries).length
  if (map === 'labels' && count > maxLabels) return [bad(tooMany(count, maxLabels))]
  if (map === 'annotations' && utf8.encode(JSON.stringify(entries)).length > maxAnnotationBytes)
    return [bad(`Too long: may not be more than ${maxAnnotationBytes} bytes`)]
  const errors: FieldError[] = []
  for (const [key, value] of Object.entries(entries)) {
    if (errors.length > maxErrors) break
    if (typeof value !== 'string')
      errors.push(bad(`Invalid value: "${cut(key)}": the value must be a string; write it in quotes`))
    else if (map === 'labels' && (value.length > maxLabelValue || !labelValue.test(value)))
      errors.push(
        bad(
          `Invalid value: "${cut(value)}": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`,
        ),
      )
    if (!isLabelKey(key))
      errors.push(
        bad(
          `Invalid value: "${cut(key)}": name part must consist of at most 63 alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`,
        ),
      )
  }
  return errors
}

/** The error of too many items. */
export function tooMany(count: number, max: number): string {
  return `Too many: ${count}: must have at most ${max} items`
}

/** Longest value quoted in a message, characters. */
const maxShown = 1024

/** A value as quoted in messages. */
export function cut(text: string): string {
  return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text
}
