import { Fault } from '#base/fault.ts'
import { protobufType } from './protobuf.ts'

/** What of an object a client wants in the answer: columns, metadata, or all of it (`Object`). */
export type Form = 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList' | 'Object'

/** What an answer about objects is written in. */
export type Encoding = 'json' | 'yaml' | 'protobuf'

/** How a client wants an answer about objects. `version` is the one of `meta.k8s.io` for a form that is not the object itself. */
export type Wanted = Readonly<{ form: Form; version: string; encoding: Encoding }>

/** One of the media types that a client accepts. */
type Clause = Readonly<{ type: string; parameters: ReadonlyMap<string, string>; quality: number }>

/** What there is to choose from: forms beside the object itself, and encodings beside JSON. */
export type Offer = Readonly<{
  forms: readonly Form[]
  isYaml: boolean
  /** Whether the object itself can be protobuf, which its kind decides. Its metadata always can, a Table never. */
  isProtobuf: boolean
}>

const whole: Wanted = { form: 'Object', version: 'v1', encoding: 'json' }

/** Most media types of one header that are looked at. */
const maxClauses = 64

/**
 * The answer that a client likes best of those there are, by the `Accept` header (RFC 9110, 12.5.1) and the parameters of
 * Kubernetes (`as`, `g`, `v`).
 * @throws Fault NotAcceptable
 */
export function negotiated(accept: string | undefined, offer: Offer): Wanted {
  if (accept === undefined || accept === 'application/json' || !accept.trim()) return whole
  for (const clause of clausesOf(accept)) {
    const encoding = encodings.get(clause.type)
    const wanted = encoding && formOf(clause, offer.forms)
    if (wanted && isOffered(encoding, wanted.form, offer)) return { ...wanted, encoding }
  }
  const types = [
    'application/json',
    ...(offer.isYaml ? ['application/yaml'] : []),
    ...(offer.isProtobuf ? [protobufType] : []),
  ]
  throw new Fault('NotAcceptable', `only the following media types are accepted: ${types.join(', ')}`)
}

const encodings: ReadonlyMap<string, Encoding> = new Map([
  ['application/json', 'json'],
  ['application/*', 'json'],
  ['*/*', 'json'],
  ['application/yaml', 'yaml'],
  [protobufType, 'protobuf'],
])

function isOffered(encoding: Encoding, form: Form, { isYaml, isProtobuf }: Offer): boolean {
  if (encoding === 'yaml') return isYaml
  return encoding === 'json' || (form === 'Object' ? isProtobuf : form !== 'Table')
}

/** What a clause asks for, if it is one of `forms`; undefined if it is not. */
function formOf({ parameters }: Clause, forms: readonly Form[]): Omit<Wanted, 'encoding'> | undefined {
  const as = parameters.get('as')
  if (as === undefined) return whole
  const form = forms.find((one) => one === as)
  const version = parameters.get('v') ?? 'v1'
  const isKnown = (parameters.get('g') ?? metaGroup) === metaGroup && (version === 'v1' || version === 'v1beta1')
  return form && isKnown ? { form, version } : undefined
}

/** The group of the forms that are no objects of their own kind. */
export const metaGroup = 'meta.k8s.io'

/** The accepted media types, the best first: by quality, then by how exact they are, then by their order. */
function clausesOf(accept: string): readonly Clause[] {
  return accept
    .split(',', maxClauses)
    .map(clauseOf)
    .filter(({ quality }) => quality > 0)
    .toSorted((a, b) => b.quality - a.quality || wildcards(a.type) - wildcards(b.type))
}

function clauseOf(text: string): Clause {
  const [type = '', ...rest] = text.split(';').map((part) => part.trim())
  const parameters = new Map(
    rest.map((part): [string, string] => {
      const [name = '', ...value] = part.split('=')
      return [
        name.trim().toLowerCase(),
        value
          .join('=')
          .trim()
          .replace(/^"(.*)"$/, '$1'),
      ]
    }),
  )
  const quality = Number(parameters.get('q') ?? 1)
  return { type: type.toLowerCase(), parameters, quality: Number.isNaN(quality) ? 0 : quality }
}

function wildcards(type: string): number {
  return type.split('*').length
}
