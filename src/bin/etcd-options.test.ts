import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Command } from 'commander'
import { addEtcdOptions, etcdOf, type GivenEtcd } from './etcd-options.ts'

const folder = mkdtempSync(join(tmpdir(), 'patchbay-etcd-options-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const parsed = (...args: string[]) =>
  etcdOf(addEtcdOptions(new Command()).parse(args, { from: 'user' }).opts<GivenEtcd>())

test('etcd is where its options say, as whom, and under a prefix of its own', async () => {
  assert.equal(await parsed(), undefined)
  assert.deepEqual(await parsed('--etcd', 'http://10.0.0.1:2379,http://[::1]:2379/'), {
    endpoints: ['http://10.0.0.1:2379', 'http://[::1]:2379'],
    prefix: '/patchbay',
  })
  const [ca, cert, key, password] = ['ca', 'cert', 'key', 'secret\n'].map((text) => file(text.trim(), text))
  assert.deepEqual(
    await parsed(
      ...['--etcd', 'https://a.example:2379', '--etcd-prefix', '/labs/one', '--etcd-cacert', `${ca}`],
      ...['--etcd-cert', `${cert}`, '--etcd-key', `${key}`, '--etcd-user', 'me', '--etcd-password-file', `${password}`],
    ),
    {
      endpoints: ['https://a.example:2379'],
      prefix: '/labs/one',
      tls: { ca: 'ca', cert: 'cert', key: 'key' },
      user: { name: 'me', password: 'secret' },
    },
  )
})

test('what is wrong about the options of etcd is refused by name, with what to do', async () => {
  const refused = (args: readonly string[], message: RegExp) =>
    assert.rejects(parsed(...args), { kind: 'Invalid', message }, args.join(' '))
  for (const url of ['10.0.0.1:2379', 'ftp://a:1', 'http://a', 'http://a:1/b', 'http://me@a:1', ''])
    await refused(['--etcd', url], /^--etcd .* is no URL of a member of etcd, such as https:/)
  for (const prefix of ['patchbay', '/', '/a/', '/a b', '/a!b'])
    await refused(['--etcd', 'http://a:1', '--etcd-prefix', prefix], /^--etcd-prefix .* is no prefix such as/)
  await refused(['--etcd-prefix', '/a'], /^--etcd-prefix says how .* but --etcd does not say where it is: give both$/)
  await refused(
    ['--etcd', 'https://a:1', '--etcd-cert', 'x'],
    /^--etcd-cert and --etcd-key belong together: give both$/,
  )
  await refused(['--etcd', 'https://a:1', '--etcd-user', 'x'], /^--etcd-user and --etcd-password-file belong together/)
  await refused(
    ['--etcd', 'https://b:1,http://a:1', '--etcd-cacert', 'x'],
    /^--etcd-cacert .* TLS, which http:\/\/a:1 has none/,
  )
  await refused(['--etcd', 'https://a:1', '--etcd-cacert', `${folder}/none`], /^--etcd-cacert .*none cannot be read$/)
})
