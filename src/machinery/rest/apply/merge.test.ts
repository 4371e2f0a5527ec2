import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '#base/json.ts'
import { merge } from './merge.ts'
import { atom, type Shape } from './schema.ts'

/** What structured-merge-diff v6.3.0 makes of a live list and a configuration, by the names of the items: LIVE+CONFIG=MERGED. */
const orders = `
  ab+a=ab ab+ab=ab ab+abc=abc ab+ac=abc ab+acb=acb ab+b=ab ab+ba=ba ab+bac=bac ab+bc=abc ab+bca=bca ab+c=abc ab+ca=cab
  ab+cab=cab ab+cb=acb ab+cba=cba abc+a=abc abc+ab=abc abc+abc=abc abc+ac=abc abc+acb=acb abc+b=abc abc+ba=bca abc+bac=bac
  abc+bc=abc abc+bca=bca abc+c=abc abc+ca=bca abc+cab=cab abc+cb=acb abc+cba=cba ac+a=ac ac+ab=acb ac+abc=abc ac+ac=ac
  ac+acb=acb ac+b=acb ac+ba=bac ac+bac=bac ac+bc=abc ac+bca=bca ac+c=ac ac+ca=ca ac+cab=cab ac+cb=acb ac+cba=cba acb+a=acb
  acb+ab=acb acb+abc=abc acb+ac=acb acb+acb=acb acb+b=acb acb+ba=cba acb+bac=bac acb+bc=abc acb+bca=bca acb+c=acb
  acb+ca=cba acb+cab=cab acb+cb=acb acb+cba=cba ba+a=ba ba+ab=ab ba+abc=abc ba+ac=bac ba+acb=acb ba+b=ba ba+ba=ba
  ba+bac=bac ba+bc=bac ba+bca=bca ba+c=bac ba+ca=bca ba+cab=cab ba+cb=cba ba+cba=cba bac+a=bac bac+ab=acb bac+abc=abc
  bac+ac=bac bac+acb=acb bac+b=bac bac+ba=bac bac+bac=bac bac+bc=bac bac+bca=bca bac+c=bac bac+ca=bca bac+cab=cab
  bac+cb=acb bac+cba=cba bc+a=bca bc+ab=abc bc+abc=abc bc+ac=bac bc+acb=acb bc+b=bc bc+ba=bca bc+bac=bac bc+bc=bc
  bc+bca=bca bc+c=bc bc+ca=bca bc+cab=cab bc+cb=cb bc+cba=cba bca+a=bca bca+ab=cab bca+abc=abc bca+ac=bac bca+acb=acb
  bca+b=bca bca+ba=bca bca+bac=bac bca+bc=bca bca+bca=bca bca+c=bca bca+ca=bca bca+cab=cab bca+cb=cab bca+cba=cba ca+a=ca
  ca+ab=cab ca+abc=abc ca+ac=ac ca+acb=acb ca+b=cab ca+ba=cba ca+bac=bac ca+bc=bca ca+bca=bca ca+c=ca ca+ca=ca ca+cab=cab
  ca+cb=cab ca+cba=cba cab+a=cab cab+ab=cab cab+abc=abc cab+ac=abc cab+acb=acb cab+b=cab cab+ba=cba cab+bac=bac cab+bc=abc
  cab+bca=bca cab+c=cab cab+ca=cab cab+cab=cab cab+cb=cab cab+cba=cba cb+a=cba cb+ab=cab cb+abc=abc cb+ac=acb cb+acb=acb
  cb+b=cb cb+ba=cba cb+bac=bac cb+bc=bc cb+bca=bca cb+c=cb cb+ca=cba cb+cab=cab cb+cb=cb cb+cba=cba cba+a=cba cba+ab=cab
  cba+abc=abc cba+ac=bac cba+acb=acb cba+b=cba cba+ba=cba cba+bac=bac cba+bc=bac cba+bca=bca cba+c=cba cba+ca=cba
  cba+cab=cab cba+cb=cba cba+cba=cba
`

const shape: Shape = { as: 'list', keys: ['name'], item: { as: 'map', fields: new Map([['name', atom]]) } }
const listOf = (names: string) => [...names].map((name) => ({ name }))

test('the items of a merged list come in the order of Kubernetes, whatever the order of both sides', () => {
  for (const line of orders.trim().split(/\s+/)) {
    const [live = '', config = '', merged] = line.split(/[+=]/)
    const items = merge(shape, listOf(live), listOf(config)) as unknown as readonly JsonObject[]
    assert.equal(items.map(({ name }) => name).join(''), merged, line)
  }
})
