import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { filtered, noFilter } from './filter.ts'
import { layout, railHeight, windowOf } from './layout.ts'
import { type Machine, machineOf } from './machine.ts'
import { emptyDraft, manifestOf, nextCard } from './new-machine.ts'
import { railsOf } from './rail.ts'
import { allows, needs, needText } from './rights.ts'
import { ratesOf } from './traffic.ts'
import { sorted, truthRows } from './truth.ts'
import { lineOf } from './yaml-lines.ts'

function machine(name: string, networks: readonly string[] = ['red'], host?: string): Machine {
  const vm: Stored<VirtualMachine> = {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'ns', uid: name, resourceVersion: '1', creationTimestamp: '' },
    spec: {
      template: {
        spec: {
          domain: { devices: { interfaces: networks.map((one) => ({ name: one, bridge: {} })) } },
          networks: networks.map((one) => ({ name: one, multus: { networkName: one } })),
        },
      },
    },
  }
  const made = machineOf(vm, undefined)
  assert.ok(made)
  return { ...made, host }
}

const many = Array.from({ length: 200 }, (_, index) => machine(`m${index}`, ['a', 'b', 'c', 'd'], `h${index % 3}`))

test('lines are grouped by host, do not overlap, and only those in view are shown', () => {
  const { rows, height } = layout([machine('off'), ...many])
  assert.deepEqual(
    rows.flatMap((row) => (row.kind === 'host' ? [row.host] : [])),
    ['h0', 'h1', 'h2', undefined],
  )
  for (const [index, row] of rows.entries()) assert.ok(row.top >= (rows[index - 1]?.top ?? -1), row.key)
  const seen = windowOf(rows, 5000, 5900, 0)
  assert.ok(seen.length < 40)
  assert.ok(seen.every((row) => row.top + row.height > 5000 && row.top < 5900))
  assert.ok((rows.at(-1)?.top ?? 0) < height)
  assert.deepEqual([railHeight(7, 800), railHeight(40, 800), railHeight(20, 800)], [48, 26, 40])
})

test('a search finds all its words in what is shown of a machine', () => {
  const found = (text: string, more = {}) => filtered(many, { ...noFilter, text, ...more }).length
  assert.deepEqual(
    [found(''), found('m19'), found('M19 h1'), found('nothing'), found('', { namespace: 'x' })],
    [200, 11, 5, 0, 0],
  )
  assert.equal(filtered(many, { ...noFilter, network: 'ns/a' }).length, 200)
})

test('rails are the networks there are and those that are missed', () => {
  const nad = (name: string, config: string) => ({
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata: { name, namespace: 'ns', uid: name, resourceVersion: '1', creationTimestamp: '' },
    spec: { config },
  })
  const rails = railsOf(
    [nad('red', '{"type":"bridge","bridge":"br0","vlan":7}'), nad('bad', '{'), nad('odd', '{}')],
    [machine('x', ['red', 'lost'])],
  )
  assert.deepEqual(
    rails.map(({ name, kind, detail, problem, cables }) => [name, kind, detail, problem !== undefined, cables]),
    [
      ['Pod network', 'pod', 'the default network of every host', false, 0],
      ['bad', 'nad', '', true, 0],
      ['lost', 'missing', '', true, 1],
      ['odd', 'nad', '', true, 0],
      ['red', 'nad', 'bridge br0, VLAN 7', false, 1],
      ['Parking', 'parking', 'on no network; the card stays', false, 0],
    ],
  )
})

test('rights are as the rules say, with the missing permission in words', () => {
  const rules = [
    { verbs: ['get'], apiGroups: ['*'], resources: ['*'] },
    { verbs: ['update'], apiGroups: ['subresources.kubevirt.io'], resources: ['*/start'] },
    { verbs: ['patch'], apiGroups: ['kubevirt.io'], resources: ['virtualmachines'], resourceNames: ['mine'] },
  ]
  assert.deepEqual(
    [allows(rules, needs.start, 'x'), allows(rules, needs.stop, 'x'), allows(rules, needs.console, 'x')],
    [true, false, true],
  )
  assert.deepEqual([allows(rules, needs.wire, 'mine'), allows(rules, needs.wire, 'theirs')], [true, false])
  assert.equal(needText(needs.stop, 'ns'), 'update virtualmachines.subresources.kubevirt.io/stop in namespace ns')
})

test('the table sorts numbers within names as numbers', () => {
  const rows = truthRows([machine('m10'), machine('m9')])
  const names = (isDown: boolean) => sorted(rows, { by: 'machine', isDown }).map((row) => row.machine.name)
  assert.deepEqual(
    [names(false), names(true)],
    [
      ['m9', 'm10'],
      ['m10', 'm9'],
    ],
  )
})

test('a field of a manifest has a line, or that of its nearest parent', () => {
  const text =
    'kind: X\nspec:\n  list:\n    - name: a\n      deep:\n        - 1\n    - name: b\n      mac: m\n  flat:\n  - x: 1\n  - x: 2\n'
  for (const [field, line] of [
    ['kind', 1],
    ['spec.list[1].mac', 8],
    ['spec.list[1].absent', 7],
    ['spec.list[0].name', 4],
    ['spec.flat[1].x', 11],
    ['nothing', 1],
  ] as const)
    assert.equal(lineOf(text, field), line, field)
})

test('rates are what was counted between samples, and counters may begin again', () => {
  const at = (atMs: number, rxBytes: number) => ({ atMs, cards: [{ name: 'a', rxBytes, txBytes: 0, troubles: 0 }] })
  assert.deepEqual(ratesOf([at(1000, 0), at(3000, 4000), at(5000, 1000)], 'a'), [
    [3, 5],
    [2, 0.5],
    [0, 0],
  ])
})

test('the form makes a manifest, and a new card is on a network that has none yet', () => {
  const { spec } = manifestOf({ ...emptyDraft, name: 'x', sshKey: 'ssh-ed25519 A', source: 'containerDisk' })
  assert.deepEqual(
    spec.template.spec.volumes?.map(({ name }) => name),
    ['root', 'seed'],
  )
  assert.equal(spec.template.spec.domain.firmware, undefined)
  assert.deepEqual(nextCard(emptyDraft.cards, ['pod', 'red']), { name: 'red', network: 'red', isPulled: false })
  assert.equal(nextCard([{ name: 'red', network: 'red', isPulled: false }], ['red']).name, 'red-2')
})
