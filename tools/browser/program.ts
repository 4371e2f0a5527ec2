import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { Transport } from '#machinery/client/transport.ts'

/** What this program prints when it runs to its end. */
export type Outcome = Readonly<{ modules: number; steps: readonly string[]; links: readonly string[] }>

const src = new URL('../../src/', import.meta.url)
const files: string[] = JSON.parse(decodeURIComponent(import.meta.url.split('?')[1] ?? '[]'))

async function main(): Promise<Outcome> {
  for (const file of files) await import(new URL(file, src).href)
  const [{ VirtualMachine }, { Connection }, { HttpClient }, { desiredNics }, { planNics }] = await Promise.all([
    import('#apis/kubevirt/vm.ts'),
    import('#machinery/client/connection.ts'),
    import('#machinery/client/http-client.ts'),
    import('#core/nic/desired.ts'),
    import('#core/nic/plan.ts'),
  ])
  const client = new HttpClient(new Connection(served(), 'page/1'))
  const { items, resourceVersion } = await client.list(VirtualMachine, { namespace: 'default' })
  const nicsOf = (vm: VirtualMachine | undefined) => desiredNics(vm!.spec.template.spec, 'default')
  const links: string[] = []
  const steps: string[] = []
  let known = items[0]
  for await (const events of client.watch(VirtualMachine, resourceVersion, {}, new AbortController().signal))
    for (const event of events) {
      if (event.type === 'BOOKMARK') continue
      steps.push(...planNics(nicsOf(event.object), nicsOf(known)).steps.map((step) => `${step.do} ${step.nic.name}`))
      links.push(...nicsOf(event.object).map((nic) => nic.links.tap))
      known = event.object
    }
  return { modules: files.length, steps, links }
}

/** A server with one VM, whose second cable is pulled. */
function served(): Transport {
  const answers: Readonly<Record<string, readonly string[]>> = {
    '': [JSON.stringify({ items: [vm('up')], metadata: { resourceVersion: '7' } })],
    '1': [`${JSON.stringify({ type: 'MODIFIED', object: vm('down') })}\n`],
  }
  return {
    server: 'https://page.test',
    async send({ path }) {
      const { pathname, searchParams } = new URL(path, 'https://page.test')
      if (pathname !== '/apis/kubevirt.io/v1/namespaces/default/virtualmachines' && !searchParams.has('watch'))
        return { code: 404, pieces: pieces([]) }
      return { code: 200, pieces: pieces(answers[searchParams.get('watch') ?? ''] ?? []) }
    },
  }
}

async function* pieces(texts: readonly string[]): AsyncIterable<string> {
  yield* texts
}

function vm(state: 'up' | 'down') {
  const spec: VmiSpec = {
    domain: {
      devices: {
        interfaces: [
          { name: 'a', masquerade: {} },
          { name: 'b', bridge: {}, state },
        ],
      },
    },
    networks: [
      { name: 'a', pod: {} },
      { name: 'b', multus: { networkName: 'red' } },
    ],
  }
  const creationTimestamp = '2026-01-01T00:00:00Z'
  const metadata = { name: 'x', namespace: 'default', uid: 'u', resourceVersion: '7', creationTimestamp }
  return { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata, spec: { template: { spec } } }
}

console.log(JSON.stringify(await main()))
