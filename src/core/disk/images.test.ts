import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pullOf, wantedImages } from './images.ts'

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

test('a pull has the credentials of its Secret, and none when that is missing', () => {
  const wanted = { volume: 'v', reference: 'x', policy: 'Always', secret: 's' } as const
  const config = new TextEncoder().encode(JSON.stringify({ auths: { h: { username: 'u', password: 'p' } } }))
  const none = { configMap: () => undefined, claim: () => undefined }
  const found = pullOf(wanted, { ...none, secret: () => new Map([['.dockerconfigjson', config]]) })
  assert.deepEqual([found.reference, found.isAlways, found.credentials?.get('h')?.username], ['x', true, 'u'])
  assert.equal(pullOf(wanted, { ...none, secret: () => undefined }).credentials, undefined)
})
