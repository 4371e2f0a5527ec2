import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineFault } from './faults.ts'
import { readInput } from './read.ts'
import { answerBody, jsonText, xmlText } from './write.ts'

const nic = {
  root: 'nic',
  doc: {
    id: 'n',
    href: '/nics/n',
    name: 'a<b & "c"\u0000',
    comment: '',
    link: [{ rel: 'x', href: '/x' }],
    linked: false,
    count: 3,
    at: new Date(Date.UTC(2026, 10, 26, 16, 11, 27, 500)),
    gone: undefined,
    none: [],
    tags: {},
    ips: { ip: [{ address: '::1' }, { address: '10.0.0.1' }] },
    usages: { usage: ['vm', 'display'] },
  },
}

test('a document in XML: one element per line, attributes in the engine’s order, nothing that no XML can carry', () => {
  assert.equal(
    xmlText(nic),
    `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<nic href="/nics/n" id="n">
    <name>a&lt;b &amp; &quot;c&quot;\uFFFD</name>
    <comment></comment>
    <link href="/x" rel="x"/>
    <linked>false</linked>
    <count>3</count>
    <at>2026-11-26T16:11:27.500+00:00</at>
    <tags/>
    <ips>
        <ip>
            <address>::1</address>
        </ip>
        <ip>
            <address>10.0.0.1</address>
        </ip>
    </ips>
    <usages>
        <usage>vm</usage>
        <usage>display</usage>
    </usages>
</nic>
`,
  )
})

test('the same in JSON: scalars are strings, dates are milliseconds, and an empty list is not there', () => {
  assert.deepEqual(JSON.parse(jsonText(nic)), {
    id: 'n',
    href: '/nics/n',
    name: 'a<b & "c"\u0000',
    comment: '',
    link: [{ rel: 'x', href: '/x' }],
    linked: 'false',
    count: '3',
    at: Date.UTC(2026, 10, 26, 16, 11, 27, 500),
    tags: {},
    ips: { ip: [{ address: '::1' }, { address: '10.0.0.1' }] },
    usages: { usage: ['vm', 'display'] },
  })
  assert.equal(jsonText({ root: 'vms', doc: { vm: [] } }), '{}')
})

test('what is sent means the same in XML and in JSON', () => {
  const bodies = [
    readInput(
      '<nic id="n"><name> a &amp; b </name><linked>true</linked><vnic_profile/><ips><ip>1</ip><ip>2</ip></ips></nic>',
      false,
    ),
    readInput(
      '{"id": "n", "name": "a & b", "linked": true, "vnic_profile": {}, "ips": {"ip": [1, "2"]}, "gone": null}',
      true,
    ),
  ]
  for (const body of bodies) {
    assert.deepEqual([body.textAt('id'), body.textAt('name'), body.textAt('linked')], ['n', 'a & b', 'true'])
    assert.ok(body.at('vnic_profile'))
    assert.equal(body.textAt('vnic_profile', 'id'), undefined)
    assert.deepEqual(
      body
        .at('ips')
        ?.all('ip')
        .map(({ text }) => text),
      ['1', '2'],
    )
    assert.equal(body.at('gone'), undefined)
  }
  assert.equal(readInput('  ', false).at('name'), undefined)
  assert.equal(readInput('<?xml version="1.0"?><nic><name><![CDATA[<x>]]></name></nic>', false).textAt('name'), '<x>')
})

test('what cannot be read is refused', () => {
  const deep = (n: number) => '<a>'.repeat(n) + '</a>'.repeat(n)
  const wrong: [string, boolean][] = [
    ['<nic', false],
    ['<nic></nik>', false],
    ['<!DOCTYPE a [<!ENTITY b "c">]><nic>&b;</nic>', false],
    ['<nic>&b;</nic>', false],
    ['text', false],
    [deep(33), false],
    ['[]', true],
    ['{', true],
    ['"x"', true],
    [`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`, true],
  ]
  for (const [body, isJson] of wrong)
    assert.throws(
      () => readInput(body, isJson),
      (error) => error instanceof EngineFault && error.code === 400,
      body,
    )
  assert.ok(readInput(deep(32), false))
})

test('a long collection is answered in parts that make up the whole', () => {
  for (const count of [0, 1, 100, 101, 250]) {
    const named = {
      root: 'vms',
      doc: { vm: Array.from({ length: count }, (_, i) => ({ id: String(i), name: `vm<${i}>` })) },
    }
    for (const isJson of [true, false]) {
      const body = answerBody(named, isJson)
      assert.equal(typeof body === 'string', count <= 100)
      const text = typeof body === 'string' ? body : Buffer.concat([...body]).toString()
      assert.equal(text, isJson ? jsonText(named) : xmlText(named))
    }
  }
})
