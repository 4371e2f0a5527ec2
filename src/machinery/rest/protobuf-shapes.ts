import { kindLines, messageLines } from './protobuf-messages.ts'

/** What a value is on the wire and in JSON; `strings` is a message around a list of them. */
const plainTypes = [
  'string',
  'int',
  'bool',
  'bytes',
  'strings',
  'time',
  'microTime',
  'quantity',
  'intOrString',
  'fields',
] as const
type PlainType = (typeof plainTypes)[number]

/** The fields of a message by their numbers. */
export type Message = ReadonlyMap<number, Field>

export type Field = Readonly<{
  name: string
  type: PlainType | Message
  many?: 'list' | 'map'
  /** Its fields stand beside the others in JSON. */
  isInline: boolean
  /** An empty scalar is a value, too. */
  keepsEmpty: boolean
  /** In Go it may be nil: a message that is none is there even when nothing is in it. */
  isPointer: boolean
}>

let known: ReadonlyMap<string, Message> | undefined

/** The message of a kind or of its list, by `apiVersion kind`; undefined for kinds that are not sent as protobuf. */
export function messageOf(name: string): Message | undefined {
  known ??= parsed()
  return known.get(name.replace(/^meta\.k8s\.io\/v1beta1 /, 'meta.k8s.io/v1 '))
}

/** The field of a message that has a name in JSON, be it in the message itself or in one that stands beside the others. */
export function fieldNamed(message: Message, name: string): Field | undefined {
  for (const field of message.values()) {
    if (field.name === name) return field
    const inner = field.isInline && typeof field.type !== 'string' ? fieldNamed(field.type, name) : undefined
    if (inner) return inner
  }
  return undefined
}

function parsed(): ReadonlyMap<string, Message> {
  const lines = messageLines.trim().replaceAll('\n  ', ' ').split('\n')
  const messages = new Map(lines.map((line) => [line.split(' ', 1)[0] ?? '', new Map<number, Field>()]))
  for (const line of lines) {
    const [name = '', ...fields] = line.split(' ')
    for (const text of fields) {
      const [number, field] = fieldOf(text, messages)
      messages.get(name)?.set(number, field)
    }
  }
  const listMeta = messages.get('ListMeta') ?? new Map()
  const kinds = kindLines.trim().split('\n')
  return new Map(
    kinds.flatMap((line): [string, Message][] => {
      const [apiVersion, kind, name = ''] = line.split(' ')
      const message = messages.get(name) ?? new Map()
      return [
        [`${apiVersion} ${kind}`, message],
        [`${apiVersion} ${kind}List`, listOf(message, listMeta)],
      ]
    }),
  )
}

/** All lists of Kubernetes have these two fields. */
function listOf(item: Message, meta: Message): Message {
  const plain = { isInline: false, keepsEmpty: false, isPointer: false }
  return new Map<number, Field>([
    [1, { ...plain, name: 'metadata', type: meta }],
    [2, { ...plain, name: 'items', type: item, many: 'list' }],
  ])
}

const fieldText = /^(\S+)=(\d+)([*!]?)(\[\]|\{\})?:?(\w*)$/

function fieldOf(text: string, messages: ReadonlyMap<string, Message>): [number: number, field: Field] {
  const [, name = '', number, keeps, many, typeName] = fieldText.exec(text) ?? []
  const plain = plainTypes.find((one) => one === (typeName || 'string'))
  const field: Field = {
    name,
    type: plain ?? messages.get(typeName ?? '') ?? new Map(),
    ...(many && { many: many === '[]' ? ('list' as const) : ('map' as const) }),
    isInline: name === '^',
    keepsEmpty: keeps !== '',
    isPointer: keeps === '*',
  }
  return [Number(number), field]
}
