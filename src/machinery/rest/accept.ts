import { Fault } from '#base/fault.ts'
import { protobufType } from './protobuf.ts'

/** What of an object a client wants in the answer: columns, metadata, or all of it (`Object`). */
export type Form = 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList' | 'Object'

/** How a client wants an answer about objects. `version` is the one of `meta.k8s.io` for a form that is not the object itself. */
export type Wanted = Readonly<{ form: Form; version: string; isYaml: boolean }>

/** One of the media types that a client accepts. */
type Clause = Readonly<{ type: string; parameters: ReadonlyMap<string, string>; quality: number }>

const whole: Wanted = { form: 'Object', version: 'v1', isYaml: false }

/** Most media types of one header that are looked at. */
const maxClauses = 64

/**
 * The answer that a client likes best of those there are, by the `Accept` header (RFC 9110, 12.5.1) and the parameters of
 * Kubernetes (`as`, `g`, `v`). `forms` are those there are beside the object itself. A client that accepts nothing but protobuf
 * gets JSON: those of Go take it, whatever they asked for.
 * @throws Fault NotAcceptable
 */
export function negotiated(accept: string | undefined, forms: readonly Form[], isYamlServed = true): Wanted {
  if (accept === undefined || accept === 'application/json' || !accept.trim()) return whole
  const clauses = clausesOf(accept)
  for (const isProtobuf of [false, true])
    for (const clause of clauses) {
      const isYaml = clause.type === 'application/yaml'
      const isServed = isProtobuf ? clause.type === protobufType : isYaml ? isYamlServed : jsonRanges.has(clause.type)
      const wanted = isServed ? formOf(clause, forms) : undefined
      if (wanted) return { ...wanted, isYaml }
    }
  const types = isYamlServed ? 'application/json, application/yaml' : 'application/json'
  throw new Fault('NotAcceptable', `only the following media types are accepted: ${types}`)
}

const jsonRanges = new Set(['application/json', 'application/*', '*/*'])

/** What a clause asks for, if it is one of `forms`; undefined if it is not. */
function formOf({ parameters }: Clause, forms: readonly Form[]): Omit<Wanted, 'isYaml'> | undefined {
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
