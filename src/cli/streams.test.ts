import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forwardOf } from './forward.ts'
import { loginOf, scpArguments, sshArguments } from './ssh.ts'
import { endOf, targetOf } from './streams.ts'

test('a guest is named as virtctl names it', () => {
  assert.deepEqual(targetOf('vm/x', 'ns'), { kind: 'vm', name: 'x', namespace: 'ns' })
  assert.deepEqual(targetOf('VirtualMachineInstances/x/other', 'ns'), { kind: 'vmi', name: 'x', namespace: 'other' })
  for (const text of ['x', 'pod/x', 'vm/', 'vm/x/', 'vm/x/y/z', ''])
    assert.throws(() => targetOf(text, 'ns'), /names no guest/)
})

test('ports are named as virtctl names them', () => {
  assert.deepEqual(forwardOf('8080'), { protocol: 'tcp', local: 8080, remote: 8080 })
  assert.deepEqual(forwardOf('0:80'), { protocol: 'tcp', local: 0, remote: 80 })
  assert.deepEqual(forwardOf('udp/5353:53'), { protocol: 'udp', local: 5353, remote: 53 })
  for (const text of ['', '0', 'sctp/1', '1:', '1:0', '65536', '1:2:3', '-1'])
    assert.throws(() => forwardOf(text), /is no port/)
})

const self = { program: ['/usr/bin/node', '/a b/patchbay.ts'], choice: ['--context', "it's 100%"] }
const proxy = (target: string, port = '22') =>
  `ProxyCommand=/usr/bin/node '/a b/patchbay.ts' port-forward --context 'it'\\''s 100%%' --stdio ${target} ${port}`

test('ssh goes through this program, under a name of the guest’s own', () => {
  assert.deepEqual(sshArguments(self, loginOf('me@vm/x', 'ns'), {}), ['-o', proxy('vm/x/ns'), '--', 'me@vm.x.ns'])
  const options = {
    port: '2222',
    username: 'root',
    identityFile: 'key',
    knownHosts: 'known',
    command: 'ls',
    localSshOpts: ['-v'],
  }
  assert.deepEqual(sshArguments(self, loginOf('me@x', 'ns'), options), [
    ...['-v', '-o', proxy('vmi/x/ns', '2222'), '-o', 'UserKnownHostsFile=known', '-o', 'IdentityFile=key'],
    ...['--', 'root@vmi.x.ns', 'ls'],
  ])
  // Nothing that names a guest is an option of ssh.
  const sly = sshArguments(self, loginOf('-oProxyCommand=reboot@vm/x', 'ns'), {})
  assert.deepEqual(sly.slice(-2), ['--', '-oProxyCommand=reboot@vm.x.ns'])
  assert.throws(() => sshArguments(self, loginOf('vm/x', 'ns'), { port: '22;reboot' }), /is no port/)
})

test('scp has one place in a guest', () => {
  const to = scpArguments(self, ['file', 'me@vm/x/other:/tmp/a:b'], 'ns', { recursive: true, preserve: true })
  assert.deepEqual(to, ['-r', '-p', '-o', proxy('vm/x/other'), '--', 'file', 'me@vm.x.other:/tmp/a:b'])
  const from = scpArguments(self, ['vmi/x:', '.'], 'ns', {})
  assert.deepEqual(from, ['-o', proxy('vmi/x/ns'), '--', 'vmi.x.ns:', '.'])
  for (const places of [
    ['a', 'b'],
    ['vm/x:a', 'vm/y:b'],
  ] as const)
    assert.throws(() => scpArguments(self, places, 'ns', {}), /One of the two files must be in a guest/)
})

test('an end that is a failure says why', () => {
  assert.deepEqual(
    [1000, 1005].map((code) => endOf(code, '')),
    [undefined, undefined],
  )
  assert.match(endOf(1006, '')?.message ?? '', /powered off, another user/)
  assert.match(endOf(1001, '')?.message ?? '', /The API server stopped/)
  assert.match(endOf(1011, 'read ECONNRESET')?.message ?? '', /disconnected: read ECONNRESET/)
})
