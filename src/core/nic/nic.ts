/**
 * The one shape that wanted and observed interfaces are both reduced to, so that a difference is plain inequality.
 * `network` is `pod` or `namespace/name` of a NetworkAttachmentDefinition; `mac` is lower case with colons.
 */
export type Nic = Readonly<{
  name: string
  mac: string
  model: string
  binding: 'bridge' | 'masquerade'
  network: string
  link: 'up' | 'down'
}>

export type Field = Exclude<keyof Nic, 'name'>

/** The cheapest way to make a running guest agree with a changed field, cheapest first. */
export type Cost = 'live' | 'rewire' | 'restart'

/** Every field declares its own cost. A new property on Nic does not compile until it has a line here. */
export const fields = {
  mac: 'restart',
  model: 'restart',
  binding: 'restart',
  network: 'rewire',
  link: 'live',
} as const satisfies Record<Field, Cost>

export const fieldNames = Object.keys(fields) as readonly Field[]

/** The network name of the pod network in a Nic. */
export const podNetwork = 'pod'
