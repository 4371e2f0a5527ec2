import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toBase64 } from '#base/base64.ts'
import { credentialsIn, pullOf, wantedImages } from './images.ts'

test('the images of a spec are those of its disks, with their policy and Secret', () => {
  const volumes = [
    { name: 'a', containerDisk: { image: 'x:1' } },
    { name: 'b', containerDisk: { image: 'y', imagePullPolicy: 'Always', imagePullSecret: 's', path: '/disk/b.img' } },
    { name: 'unused', containerDisk: { image: 'z' } },
    { name: 'c', emptyDisk: { capacity: '1Gi' } },
  ]
  assert.deepEqual(
    wantedImages({ domain: { devices: { disks: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] } }, volumes }),
    [
      { volume: 'a', reference: 'x:1', policy: 'IfNotPresent' },
      { volume: 'b', reference: 'y', policy: 'Always', secret: 's', path: '/disk/b.img' },
    ],
  )
})

test('credentials are read as docker writes them, in either form; what cannot be read is left out', () => {
  const config = {
    auths: {
      'https://one.example/v1/': { auth: toBase64('joe:pass:word') },
      'two.example:5000': { username: 'ann', password: 'x' },
      'three.example': { auth: 'no base64!' },
      'four.example': 'nonsense',
      'five.example': { auth: toBase64('nocolon') },
    },
  }
  assert.deepEqual(
    [...credentialsIn(JSON.stringify(config))],
    [
      ['one.example', { username: 'joe', password: 'pass:word' }],
      ['two.example:5000', { username: 'ann', password: 'x' }],
    ],
  )
  for (const bad of ['', 'null', '{"auths":[]}', '{']) assert.equal(credentialsIn(bad).size, 0)
})

test('a pull has the credentials of its Secret, and none when that is missing', () => {
  const wanted = { volume: 'v', reference: 'x', policy: 'Always', secret: 's' } as const
  const config = new TextEncoder().encode(JSON.stringify({ auths: { h: { username: 'u', password: 'p' } } }))
  const none = { configMap: () => undefined, claim: () => undefined }
  const found = pullOf(wanted, { ...none, secret: () => new Map([['.dockerconfigjson', config]]) })
  assert.deepEqual([found.reference, found.isAlways, found.credentials?.get('h')?.username], ['x', true, 'u'])
  assert.equal(pullOf(wanted, { ...none, secret: () => undefined }).credentials, undefined)
})
