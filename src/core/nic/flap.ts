import type { ObjectMeta } from '#apis/meta/object.ts'
import { isObject, parsedJson } from '#base/json.ts'

/** On a VM: the cable of an interface is being pulled and put back again and again. */
export const flapAnnotation = 'patchbay.dev/flap'

/** What the annotation says, as JSON. */
export type Flap = Readonly<{
  interface: string
  who: string
  /** When it is over at the latest, RFC 3339: past that, who flaps it has died without taking the mark away. */
  until: string
  /** Time from one pull to the next, milliseconds. */
  periodMs: number
}>

export function flapText({ interface: nic, who, until, periodMs }: Flap): string {
  return JSON.stringify({ interface: nic, who, until, periodMs })
}

/** Which interface of a VM is flapped now; undefined for none, and after the end of what the mark says. */
export function flapOf({ annotations }: Pick<ObjectMeta, 'annotations'>, nowMs: number): Flap | undefined {
  const value = parsedJson(annotations?.[flapAnnotation] ?? '')
  if (!isObject(value)) return undefined
  const { interface: nic, who, until, periodMs } = value
  if (typeof nic !== 'string' || typeof who !== 'string' || typeof until !== 'string' || typeof periodMs !== 'number')
    return undefined
  return Date.parse(until) > nowMs ? { interface: nic, who, until, periodMs } : undefined
}
