import { readFileSync } from 'node:fs'
import { VirtualMachine } from '../src/apis/kubevirt/vm.ts'
import { fateOf } from '../src/apis/meta/fate.ts'
import { isObject, type JsonObject } from '../src/base/json.ts'

/** Where the page is. */
const page = 'docs/kubevirt-fields.md'

const head = `# Fields of a VirtualMachine

Made from the schema by \`node tools/kubevirt-fields.ts > ${page}\`. The fields are those of \`kubevirt.io/v1\`, with those of KubeVirt
v1.6 complete; the spec of a VirtualMachineInstance is \`spec.template.spec\`. A field that is *not carried out* is kept, a client
that sets it gets a warning, and the condition \`NotCarriedOut\` of the VM and its instance names it. A field without effect is one
that by its nature changes nothing here.

`

const outcomes = { noEffect: 'no effect', refused: 'refused', notCarriedOut: 'not carried out' } as const

type Row = Readonly<{ path: string; type: string; fate: string; why: string }>

/** The rows of the spec, by path. What is not carried out as a whole is one row. */
function rowsOf(schema: JsonObject, path: string): Row[] {
  const fate = fateOf(schema)
  if (fate) {
    const unless = fate.unless.map((one) => `\`${JSON.stringify(one)}\``)
    const so = unless.length ? `carried out when ${unless.join(', ')}; else ` : ''
    return [
      {
        path,
        type: typeOf(schema),
        fate: `${so}${outcomes[fate.is]}`,
        why: fate.why,
      },
    ]
  }
  const properties = isObject(schema.properties) ? Object.entries(schema.properties) : []
  const items = isObject(schema.items) ? schema.items : undefined
  const below = [
    ...properties.map(([name, one]) => [`${path}.${name}`, one] as const),
    ...(items ? [[`${path}[]`, items] as const] : []),
  ]
  const rows = below.flatMap(([name, one]) => (isObject(one) ? rowsOf(one, name) : []))
  return rows.length ? rows : [{ path, type: typeOf(schema), fate: 'carried out', why: '' }]
}

function typeOf(schema: JsonObject): string {
  if (schema['x-kubernetes-int-or-string'] === true) return 'quantity'
  return typeof schema.type === 'string' ? schema.type : 'any'
}

/** The page, as it is to be. */
function pageText(): string {
  const { properties } = VirtualMachine.schema as unknown as { properties: { spec: JsonObject } }
  const rows = rowsOf(properties.spec, 'spec')
  const line = ({ path, type, fate, why }: Row) => `| \`${path}\` | ${type} | ${fate} | ${why} |`
  return `${head}| field | type | outcome | what happens instead |\n|---|---|---|---|\n${rows.map(line).join('\n')}\n`
}

/** Whether the page is not what the schema says. */
export function staleFields(root: string): string[] {
  const now = readFileSync(`${root}/${page}`, 'utf8')
  return now === pageText() ? [] : [`${page} is not what the schema says; node tools/kubevirt-fields.ts > ${page}`]
}

if (import.meta.main) process.stdout.write(pageText())
