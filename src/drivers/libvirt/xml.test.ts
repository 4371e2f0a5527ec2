import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { element, findElement, parseXml, serializeXml, textOf, type XmlElement, type XmlNode } from './xml.ts'

const text = fc
  .string({ unit: 'grapheme' })
  .filter((s) => !/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u.test(s) && s !== '')
const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
const { tree } = fc.letrec<{ tree: XmlElement }>((tie) => ({
  tree: fc
    .tuple(
      name,
      fc.dictionary(name, text, { maxKeys: 3, noNullPrototype: true }),
      fc.array(fc.oneof({ maxDepth: 4 }, text, tie('tree')), { maxLength: 3 }),
    )
    .map(([tag, attributes, children]) => element(tag, attributes, ...children)),
}))

/** Neighbouring texts become one when they are read back. */
function merged(node: XmlElement): XmlElement {
  const children: XmlNode[] = []
  for (const child of node.children) {
    const last = children.at(-1)
    if (typeof child === 'string' && typeof last === 'string') children[children.length - 1] = last + child
    else children.push(typeof child === 'string' ? child : merged(child))
  }
  return { ...node, children }
}

test('what is written reads back the same', () => {
  fc.assert(fc.property(tree, (one) => assert.deepEqual(parseXml(serializeXml(one)), merged(one))))
})

for (const bad of [
  '<a><b></a>',
  '<a b=c/>',
  '<a>&nope;</a>',
  '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
  '',
  '<a/><b/>',
])
  test(`refuses ${JSON.stringify(bad)}`, () => assert.throws(() => parseXml(bad)))

test('a control character is refused, not written', () => {
  assert.throws(() => serializeXml(element('a', {}, 'x\u0000')), /control character/)
})

test('finds elements by path', () => {
  const root = parseXml("<domain><devices><interface><alias name='ua-x'/></interface></devices><name>n</name></domain>")
  assert.equal(findElement(root, 'devices', 'interface', 'alias')?.attributes.name, 'ua-x')
  assert.equal(textOf(findElement(root, 'name')), 'n')
  assert.equal(findElement(root, 'nothing', 'here'), undefined)
})
