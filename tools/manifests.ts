import { readFileSync } from 'node:fs'
import { type Expected, expectations, type Outcome } from '../test/kit/manifests.ts'

/** Where the page is. */
const page = 'docs/manifests.md'

const head = `# Manifests of other people

Manifests of the shapes that people have, written for KubeVirt and applied as they are: \`test/manifests\`, one file each, in folders by
origin. \`test/component/manifests.test.ts\` applies each of them and compares with \`test/manifests/expected.yaml\`, from which
\`node tools/manifests.ts > ${page}\` makes this page. *Runs*: the guest runs, after a start where the VM does not start by itself.
*Waits*: the instance has a condition of this reason until something changes. *Refused*: the client gets this sentence. A field that is
not carried out is kept, and the client is warned of it ([kubevirt-fields.md](kubevirt-fields.md)).

What differs from KubeVirt with its defaults:

- A bridge on the pod network is refused until \`permitBridgeInterfaceOnPodNetwork\` is set, since tenants share that network.
- Dedicated CPUs, NUMA, huge pages and SEV do not keep a guest from running: it runs without them, and the client is warned.
- An instance type is expanded as it is when the VM starts. KubeVirt keeps the revision that the VM was made with.
- What is to be inferred from a volume (\`inferFromVolume\`) is inferred from what its user may get, each time the VM is written.
- Kinds that are not served are not in discovery either, so kubectl itself says \`no matches for kind\`; the sentence is for clients that
  ask the API directly.

`

/** Groups of manifests by their folder. */
const origins: Readonly<Record<string, string>> = {
  examples: "KubeVirt's examples",
  guide: "KubeVirt's user guide and tutorials",
  templates: "OpenShift's templates",
  harvester: 'Harvester',
  virtctl: '`virtctl create vm`',
  found: 'What was found wrong once',
}

function outcomeText(outcome: Outcome): string {
  if (typeof outcome === 'string') return outcome
  return 'waits' in outcome
    ? `waits: ${outcome.waits}`
    : `refused: ${outcome.refused.replace(/^.* denied the request: /, '')}`
}

/** The field of a warning about one that is not carried out. */
function fieldOf(warning: string): string {
  const [field = ''] = warning.split(' ')
  return `\`${field.replace(/^spec\.template\./, '')}\``
}

function rowOf([path, { shape, outcome, warnings = [] }]: readonly [string, Expected]): string {
  const name = path.split('/').at(-1)
  const link = `[${name?.replace('.yaml', '')}](../test/manifests/${path})`
  return `| ${link} | ${shape} | ${outcomeText(outcome)} | ${warnings.map(fieldOf).join(', ')} |`
}

const columns = '| manifest | shape | outcome | not carried out |\n|---|---|---|---|'

/** The page, as it is to be. */
function pageText(): string {
  const all = [...expectations()]
  const counted = all.filter(([, { counted: n }]) => n).toSorted(([, a], [, b]) => (b.counted ?? 0) - (a.counted ?? 0))
  const common = counted.map(
    ([path, { counted: n, shape, outcome }]) => `| ${n} | ${shape} | ${path} | ${outcomeText(outcome)} |`,
  )
  const sections = Object.entries(origins).map(([folder, title]) => {
    const rows = all.filter(([path]) => path.startsWith(`${folder}/`)).map(rowOf)
    return `## ${title}\n\n${columns}\n${rows.join('\n')}\n`
  })
  const most = `## The most common shapes\n\nOf 178 public manifests with volumes.\n\n| n | shape | manifest | outcome |\n|---|---|---|---|\n${common.join('\n')}\n`
  return `${head}${[most, ...sections].join('\n')}`
}

/** Whether the page is not what the expectations say. */
export function staleManifests(root: string): string[] {
  const now = readFileSync(`${root}/${page}`, 'utf8')
  return now === pageText() ? [] : [`${page} is not what is expected; node tools/manifests.ts > ${page}`]
}

if (import.meta.main) process.stdout.write(pageText())
