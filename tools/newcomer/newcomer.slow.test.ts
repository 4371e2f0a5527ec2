import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Copy, type Edit } from './copy.ts'

/** A field that no interface has, from the spec to the domain's XML, and back from there to the status. */
const field: readonly Edit[] = [
  {
    file: 'apis/kubevirt/interface.ts',
    after: '    dhcpOptions: Type.Optional(dhcpOptions),\n',
    text: '    shade: Type.Optional(Type.String()),\n',
  },
  {
    file: 'apis/kubevirt/interface.ts',
    after: '  queueCount: Type.Optional(Type.Integer()),\n',
    text: '  shade: Type.Optional(Type.String()),\n',
  },
  { file: 'core/nic/nic.ts', after: '  model: string\n', text: '  shade: string\n' },
  { file: 'core/nic/nic.ts', after: "  model: 'restart',\n", text: "  shade: 'restart',\n" },
  { file: 'core/nic/desired.ts', after: '        model,\n', text: "        shade: one.shade ?? 'grey',\n" },
  {
    file: 'drivers/libvirt/domain-xml.ts',
    after: "    element('target', { dev: nic.links.tap, managed: 'no' }),\n",
    text: "    element('shade', { is: nic.shade }),\n",
  },
  {
    file: 'drivers/libvirt/domain-xml.ts',
    after: "    model: model.startsWith('virtio') ? 'virtio' : model,\n",
    text: "    shade: findElement(one, 'shade')?.attributes.is ?? '',\n",
  },
  { file: 'core/nic/status.ts', after: '    mac: now.mac,\n', text: '    shade: now.shade,\n' },
]

/** A binding that no guest has. */
const binding: readonly Edit[] = [
  {
    file: 'apis/kubevirt/interface.ts',
    after: "    bridge: Type.Optional(loose('Connects the guest to the network by a bridge.')),\n",
    text: '    wire: Type.Optional(loose()),\n',
  },
  {
    file: 'core/nic/bindings.ts',
    after: 'const table = {\n',
    text: `  wire: {
    ...notRun,
    isRun: true,
    kind: 'core',
    attach: 'tap',
    isOnNetwork: true,
    states: ['up', 'down', 'absent'],
    isPluggable: true,
    migratesOnPod: 'always',
  },
`,
  },
]

/** Follows an interface `b` through the product; `more` is what its spec says. */
const program = (more: string, shown: string) => `
import { interfaceErrors } from '#core/admission/interfaces.ts'
import { liveMigratable } from '#core/migration/migratable.ts'
import { desiredNics, unsupportedInterface, wantedNics } from '#core/nic/desired.ts'
import { planNics } from '#core/nic/plan.ts'
import { interfaceStatuses } from '#core/nic/status.ts'
import { attachmentsOf } from '#core/sandbox/plan.ts'
import { domainSpec } from '#core/vm/domain.ts'
import { vnicInfos } from '#core/vm/vnic-info.ts'
import { wiringCommands } from '#drivers/host/wiring.ts'
import { domainXml, nicXml, readDomain } from '#drivers/libvirt/domain-xml.ts'
import { SimSandboxes } from '#drivers/sim/sandboxes.ts'

const vmi = (interfaces) => ({
  metadata: { name: 'x', namespace: 'ns', uid: 'u' },
  spec: {
    domain: { firmware: { kernelBoot: { container: { image: 'i' } } }, devices: { interfaces } },
    networks: interfaces.map(({ name }) => ({ name, ...(name === 'a' ? { pod: {} } : { multus: { networkName: name } }) })),
  },
})
const a = { name: 'a', masquerade: {}, macAddress: '02:00:00:00:00:0a' }
const b = { name: 'b', macAddress: '02:00:00:00:00:0b', ${more} }
const both = vmi([a, b])
const nics = wantedNics(both.spec, 'ns')
const attachments = attachmentsOf(nics, both, { configOf: () => '{}', annotationsOf: () => undefined })
const attachment = attachments[1]
const spec = domainSpec(both)
const xml = domainXml(spec, 'tcg', { disks: new Map(), firmware: undefined })
const byName = new Map(attachments.map((one) => [one.name, one]))
const [, status] = interfaceStatuses(nics, readDomain(xml, byName).nics, undefined, new Map())
const plug = planNics(nics, desiredNics(vmi([a]).spec, 'ns')).steps[0]
const plugged = nicXml(plug.nic, attachment)
const sandboxes = new SimSandboxes()
const { hypervisor } = await sandboxes.ensure({ uid: 'u', namespace: 'ns', name: 'x', attachments, domain: 'd' })
await hypervisor.domain.create(spec)
const simulated = (await hypervisor.domain.observe()).nics[1]
const shown = ${shown}
console.log(JSON.stringify(shown))
`

test('a new field of an interface is a change of five files, from its spec to its domain and its status', async () => {
  await using copy = await Copy.make()
  const files = await copy.edit(field)
  assert.equal(files.length, 5)
  assert.equal(await copy.compile(), '')
  const shown = `{
    xml: [xml, plugged].map((one) => one.match(/<shade is=.(\\w+)/g)),
    status: status.shade,
    simulated: simulated.shade,
    change: planNics(nics, nics.map((nic) => ({ ...nic, shade: 'grey' }))).needs,
  }`
  assert.deepEqual(await copy.run(program("bridge: {}, shade: 'green'", shown)), {
    xml: [["<shade is='grey", "<shade is='green"], ["<shade is='green"]],
    status: 'green',
    simulated: 'green',
    change: [{ nic: 'b', why: 'restart', changed: ['shade'] }],
  })
})

test('a new binding is a change of two files, from admission to the bridge in the sandbox', async () => {
  await using copy = await Copy.make()
  const files = await copy.edit(binding)
  assert.equal(files.length, 2)
  assert.equal(await copy.compile(), '')
  const shown = `{
    errors: interfaceErrors(both.spec, 'spec'),
    refusal: unsupportedInterface(both.spec) ?? null,
    binding: [attachment.binding, plug.nic.binding, simulated.binding, vnicInfos(both.spec)[1].binding_name],
    card: xml.includes("<alias name='ua-b'/>"),
    isJoined: wiringCommands(attachment, new Map(), { uid: 1 }).some((one) => one.includes(attachment.links.pod + ' master')),
    movesOnPod: liveMigratable({ metadata: {}, spec: { ...both.spec, networks: [{ name: 'b', pod: {} }] } }).status,
  }`
  assert.deepEqual(await copy.run(program('wire: {}', shown)), {
    errors: [],
    refusal: null,
    binding: ['wire', 'wire', 'wire', 'wire'],
    card: true,
    isJoined: true,
    movesOnPod: 'True',
  })
})
