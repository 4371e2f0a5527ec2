import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Fault } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
import { bench, conflist, fail, result, signal, succeed, where } from '#kit/drivers/cni/sh-plugins.ts'
import type { Cni } from './cni.ts'

describe('CNI', () => {
  for (const path of ['/etc', '/var/lib/cni', 'DIR/ipam/../pki', 'DIR/ipamx', 'ipam', '', '/etc\0', 7, null, {}])
    it(`lets no plugin write outside the data directory: dataDir ${JSON.stringify(path)}`, async () => {
      await using at = await bench({ one: succeed })
      const dataDir = typeof path === 'string' ? path.replace('DIR', at.dir) : path
      for (const plugin of [
        { type: 'one', ipam: { type: 'host-local', dataDir } },
        { type: 'one', dataDir },
      ]) {
        const list = { cniVersion: '0.4.0', name: 'blue', plugins: [plugin] }
        await assert.rejects(at.open().add({ ...where, conflist: list }, signal), {
          kind: 'Invalid',
          message: /dataDir: .* is not below \S+\/ipam; leave it out, or name a folder there$/,
        })
      }
      await assert.rejects(at.calls(), { code: 'ENOENT' })
      assert.deepEqual(await at.open().interfacesOf(where.containerId), [])
    })

  it('keeps little of what a plugin complains of, however much that is', async () => {
    const flood = `printf '{"code":1,"msg":"%0300000d","details":"%0300000d"}' 0 0\nexit 1\n`
    await using at = await bench({ one: flood })
    const failed = await at
      .open()
      .add({ ...where, conflist: conflist('one') }, signal)
      .catch((error) => error)
    assert.match(failed.message, /failed: 0+; 0+$/)
    assert.ok(failed.message.length < 3000)
  })

  it('lets a network have its leases in a folder of its own of the data directory', async () => {
    await using at = await bench({ one: succeed })
    const plugins = [{ type: 'one', ipam: { type: 'host-local', dataDir: `${at.dir}/ipam/blue` } }]
    await at.open().add({ ...where, conflist: { cniVersion: '0.4.0', name: 'blue', plugins } }, signal)
    assert.equal((await at.input('one', 'ADD')).ipam.dataDir, `${at.dir}/ipam/blue`)
  })

  it('adds through the chain and deletes in reverse order, with what the plugins said, after a restart too', async () => {
    await using at = await bench({ one: succeed, two: succeed })
    assert.deepEqual(await at.open().add({ ...where, conflist: conflist('one', 'two') }, signal), {
      ips: [{ address: '10.1.0.2/24', gateway: '10.1.0.1' }],
      routes: [],
      hostInterfaces: [],
    })
    const first = await at.input('one', 'ADD')
    assert.equal(first.prevResult, undefined)
    assert.equal(first.ipam.dataDir, join(at.dir, 'ipam'))
    assert.deepEqual((await at.input('two', 'ADD')).prevResult, JSON.parse(result))
    const later = at.open()
    assert.equal((await later.added(where))?.result.ips[0]?.address, '10.1.0.2/24')
    await later.del(where, signal)
    assert.deepEqual((await at.input('one', 'DEL')).prevResult, JSON.parse(result))
    const order = ['one ADD', 'two ADD', 'two DEL', 'one DEL']
    assert.deepEqual(
      await at.calls(),
      order.map((call) => `${call} net1`),
    )
    assert.deepEqual(await readdir(at.cache), [])
    await later.del(where, signal)
  })

  it('tells plugins the pod and the MAC; at DEL too', async () => {
    const told = `echo "$CNI_ARGS" > "$0.args.$CNI_COMMAND"\n${succeed}`
    await using at = await bench({ one: told })
    const runtime = { pod: { namespace: 'default', name: 'virt-launcher-x', uid: 'u1' }, mac: '02:00:00:00:00:01' }
    await at.open().add({ ...where, conflist: conflist('one'), runtime }, signal)
    await at.open().del(where, signal)
    const args =
      'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=virt-launcher-x;K8S_POD_INFRA_CONTAINER_ID=pod-1;K8S_POD_UID=u1;MAC=02:00:00:00:00:01\n'
    for (const command of ['ADD', 'DEL'])
      assert.equal(await readFile(join(at.dir, `one.args.${command}`), 'utf8'), args)
  })

  it('tells plugins that declare capabilities what is wanted of them, others nothing; at DEL too', async () => {
    const types = ['none', 'mac', 'ips', 'portMappings', 'bandwidth', 'ipRanges']
    await using at = await bench(Object.fromEntries(types.map((type) => [type, succeed])))
    const runtime = {
      mac: '02:00:00:00:00:01',
      ips: ['10.1.0.2/24'],
      ports: [{ protocol: 'tcp', port: 80 } as const],
      bandwidth: { ingress: '10M', egress: '1k' },
    }
    const plugins = types.map((type) => (type === 'none' ? { type } : { type, capabilities: { [type]: true } }))
    const list = { cniVersion: '0.4.0', name: 'blue', plugins }
    await at.open().add({ ...where, conflist: list, runtime }, signal)
    await at.open().del(where, signal)
    const burst = 2147483647
    const wanted = [
      undefined,
      { mac: '02:00:00:00:00:01' },
      { ips: ['10.1.0.2/24'] },
      { portMappings: [{ hostPort: 80, containerPort: 80, protocol: 'tcp' }] },
      { bandwidth: { ingressRate: 1e7, ingressBurst: burst, egressRate: 1000, egressBurst: burst } },
      undefined,
    ]
    for (const command of ['ADD', 'DEL'])
      for (const [i, type] of types.entries()) {
        const { runtimeConfig, capabilities } = await at.input(type, command)
        assert.deepEqual([runtimeConfig, capabilities], [wanted[i], undefined], `${type} ${command}`)
      }
  })

  for (const ingress of ['fast', '', '999', '-1M', '2P'])
    it(`refuses the bandwidth ${JSON.stringify(ingress)} in a sentence before any plugin is run, where one asks for it`, async () => {
      await using at = await bench({ one: succeed })
      const runtime = { bandwidth: { ingress } }
      const plugins = [{ type: 'one', capabilities: { bandwidth: true } }]
      const asking = { cniVersion: '0.4.0', name: 'blue', plugins }
      await assert.rejects(at.open().add({ ...where, conflist: asking, runtime }, signal), {
        kind: 'Invalid',
        message: /kubernetes\.io\/ingress-bandwidth: ".*" is no quantity of bits per second between 1k and 1P/,
      })
      await assert.rejects(at.calls(), { code: 'ENOENT' })
      await at.open().add({ ...where, conflist: conflist('one'), runtime }, signal)
    })

  it('undoes the whole chain when a plugin fails, and says which and why', async () => {
    await using at = await bench({ one: succeed, two: fail })
    await assert.rejects(at.open().add({ ...where, conflist: conflist('one', 'two') }, signal), {
      kind: 'Unavailable',
      message: /"two".*no bridge.*try later/,
      data: { plugin: 'two', code: 11, msg: 'no bridge', details: 'try later' },
    })
    assert.deepEqual(
      await at.calls(),
      ['one ADD', 'two ADD', 'two DEL', 'one DEL'].map((call) => `${call} net1`),
    )
    // Plugins find by the result what they made.
    for (const type of ['one', 'two'])
      assert.deepEqual((await at.input(type, 'DEL')).prevResult, JSON.parse(result), type)
    assert.deepEqual(await readdir(at.cache), [])
  })

  it('owes nothing for an ADD that failed: each plugin is asked once to undo it, and the reason told is that of the ADD', async () => {
    const broken = `echo '{"code":5,"msg":"no link to '$CNI_COMMAND'"}'\nexit 1\n`
    await using at = await bench({ one: `[ $CNI_COMMAND = DEL ] && exit 3\n${succeed}`, two: broken })
    const cni = at.open()
    await assert.rejects(cni.add({ ...where, conflist: conflist('one', 'two') }, signal), (fault: Fault) => {
      assert.match(fault.message, /"two" of network "blue" \(ADD\) failed: no link to ADD$/)
      assert.deepEqual(fault.data.notUndone, [
        'CNI plugin "two" of network "blue" (DEL) failed: no link to DEL',
        'CNI plugin "one" of network "blue" (DEL) failed: exit code 3',
      ])
      return true
    })
    assert.deepEqual(
      await at.calls(),
      ['one ADD', 'two ADD', 'two DEL', 'one DEL'].map((call) => `${call} net1`),
    )
    assert.deepEqual(await readdir(at.cache), [])
    await cni.del(where, signal)
  })

  it('tells the ADD’s reason also when undoing it takes as long as it may', async () => {
    await using at = await bench({ hang: 'exec sleep 600\n' })
    await assert.rejects(at.open(300).add({ ...where, conflist: conflist('hang') }, signal), (fault: Fault) => {
      assert.equal(fault.kind, 'Timeout')
      assert.match(fault.message, /"hang" of network "blue" \(ADD\) did not end/)
      assert.match(String(fault.data.notUndone), /\(DEL\) did not end/)
      return true
    })
    assert.deepEqual(await readdir(at.cache), [])
  })

  it('lets go of what a killed process had begun to add', async () => {
    await using at = await bench({ one: `[ $CNI_COMMAND = ADD ] && exec sleep 600\nexit 3\n` })
    const controller = new AbortController()
    const adding = at.open().add({ ...where, conflist: conflist('one') }, controller.signal)
    const kept = await eventually('it is written down', async () =>
      (await readdir(at.cache).catch(() => [])).find((name) => name.endsWith('.json')),
    )
    const record = await readFile(join(at.cache, kept), 'utf8')
    controller.abort()
    await assert.rejects(adding, { kind: 'Aborted' })
    await writeFile(join(at.cache, kept), record)
    await at.open().del(where, signal)
    assert.deepEqual(await readdir(at.cache), [])
  })

  it('keeps what was added when it cannot be deleted, until that is let go', async () => {
    await using at = await bench({ one: `[ $CNI_COMMAND = DEL ] && exit 3\n${succeed}` })
    const cni = at.open()
    await cni.add({ ...where, conflist: conflist('one') }, signal)
    await assert.rejects(cni.del(where, signal), { kind: 'Unavailable' })
    assert.ok(await cni.added(where))
    assert.deepEqual(await cni.letGo(where, signal), ['CNI plugin "one" of network "blue" (DEL) failed: exit code 3'])
    assert.deepEqual(await readdir(at.cache), [])
  })

  it('kills a plugin that hangs, and everything it started', async () => {
    await using at = await bench({
      hang: `[ $CNI_COMMAND = DEL ] && exit 0\nsh -c 'sleep 600; true' & echo $! > "$0.pid"; wait\n`,
    })
    await assert.rejects(at.open(300).add({ ...where, conflist: conflist('hang') }, signal), {
      kind: 'Timeout',
      message: /"hang".*0\.3 s/,
    })
    const pid = (await readFile(join(at.dir, 'hang.pid'), 'utf8')).trim()
    await eventually('its child is dead', async () => {
      const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
      return status === '' || / Z /.test(status)
    })
  })

  it('stops at once when it is told to', async () => {
    await using at = await bench({ hang: `[ $CNI_COMMAND = DEL ] && exit 0\nsleep 600\n` })
    const controller = new AbortController()
    const adding = at.open().add({ ...where, conflist: conflist('hang') }, controller.signal)
    await eventually('it runs', () => access(join(at.dir, 'calls')).then(() => true))
    controller.abort()
    await assert.rejects(adding, { kind: 'Aborted' })
  })

  it('ends what a killed process of Patchbay left running, before it undoes that', async () => {
    await using at = await bench({
      slow: `[ $CNI_COMMAND = DEL ] && exit 0\nsh -c 'sleep 60; true' & echo $$ $! > "$0.pids"; wait\n`,
    })
    const request = JSON.stringify({ ...where, conflist: conflist('slow') })
    const options = JSON.stringify({ cacheDir: at.cache, ipamDir: at.cache, pluginDirs: [at.dir] })
    const script = `new (await import('#drivers/cni/cni.ts')).Cni(${options}).add(${request}, new AbortController().signal)`
    const killed = spawn(process.execPath, ['--input-type=module', '-e', script])
    const pids = await eventually(
      'the plugin runs',
      async () => /.+\n/.exec(await readFile(join(at.dir, 'slow.pids'), 'utf8'))?.[0],
    )
    killed.kill('SIGKILL')
    await once(killed, 'exit')
    await at.open().del(where, signal)
    for (const pid of pids.trim().split(' '))
      assert.match(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ' Z '), / Z /, `${pid} still runs`)
    assert.deepEqual(await readdir(at.cache), [])
  })

  it('leaves alone what a plugin left running on purpose', async () => {
    await using at = await bench({
      serving: `[ $CNI_COMMAND = DEL ] && exec kill $(cat "$0.pid")\nsleep 60 >/dev/null 2>&1 & echo $! > "$0.pid"\n${succeed}`,
    })
    await at.open().add({ ...where, conflist: conflist('serving') }, signal)
    const pid = (await readFile(join(at.dir, 'serving.pid'), 'utf8')).trim()
    // Another interface is another process's first call.
    await at.open().add({ ...where, ifName: 'net2', conflist: conflist('serving') }, signal)
    assert.doesNotMatch(await readFile(`/proc/${pid}/stat`, 'utf8'), / Z /, 'it was ended')
    process.kill(Number(pid))
    await at.open().del({ ...where, ifName: 'net2' }, signal)
  })

  it('takes no nonsense for an answer', async () => {
    await using at = await bench({
      garbage: 'echo Segmentation fault\n',
      flood: `[ $CNI_COMMAND = DEL ] && exit 0\nexec yes\n`,
      crash: `[ $CNI_COMMAND = DEL ] && exit 0\nkill -9 $$\n`,
    })
    for (const type of ['garbage', 'flood', 'crash']) {
      const failed = at.open().add({ ...where, conflist: conflist(type) }, signal)
      await assert.rejects(failed, { kind: 'Unavailable', message: new RegExp(`"${type}"`) }, type)
    }
    assert.deepEqual(await readdir(at.cache), [])
  })

  it('refuses a configuration with a sentence, and a plugin that went away', async () => {
    await using at = await bench({ one: succeed })
    await assert.rejects(at.open().parse('{"type":"../one"}', 'NetworkAttachmentDefinition default/blue', signal), {
      kind: 'Invalid',
      message: /default\/blue .*type: .*paths are not allowed/,
    })
    assert.equal(
      (await at.open().parse('{"type":"one"}', 'NetworkAttachmentDefinition default/blue', signal)).name,
      'blue',
    )
    await assert.rejects(at.open().add({ ...where, conflist: conflist('gone') }, signal), {
      kind: 'Invalid',
      message: /"gone"/,
    })
  })

  const speaking = (...versions: string[]) =>
    `[ $CNI_COMMAND = VERSION ] && echo '${JSON.stringify({ cniVersion: '1.0.0', supportedVersions: versions })}'\n${succeed}`
  const parsed = (cni: Cni, list: object) =>
    cni.parse(JSON.stringify({ name: 'blue', ...list }), 'NetworkAttachmentDefinition default/blue', signal)

  it('runs a list with the highest version that all its plugins speak, those that give addresses among them', async () => {
    await using at = await bench({
      new: speaking('0.4.0', '1.0.0', '1.1.0'),
      old: speaking('0.3.1', '0.4.0'),
      silent: succeed,
    })
    const cni = at.open()
    const newest = { type: 'new', ipam: { type: 'old' } }
    for (const [version, list] of [
      ['1.1.0', { cniVersion: '1.1.0', plugins: [{ type: 'new' }, { type: 'silent' }] }],
      ['1.0.0', { cniVersion: '1.0.0', plugins: [{ type: 'new' }] }],
      ['1.1.0', { cniVersions: ['0.4.0', '1.1.0', '7.0.0'], plugins: [{ type: 'new' }] }],
      ['0.4.0', { cniVersion: '1.1.0', plugins: [newest] }],
      ['0.4.0', { cniVersion: '1.0.0', plugins: [{ type: 'new' }, { type: 'old' }] }],
      ['0.3.1', { plugins: [{ type: 'silent' }] }],
    ] as const) {
      const conflist = await parsed(cni, list)
      assert.equal(conflist.cniVersion, version)
      await cni.add({ ...where, conflist }, signal)
      assert.equal((await at.input(conflist.plugins[0]!.type, 'ADD')).cniVersion, version)
      await cni.del(where, signal)
      assert.equal((await at.input(conflist.plugins[0]!.type, 'DEL')).cniVersion, version)
    }
    // Each of the three once.
    assert.equal((await at.calls()).filter((call) => call.includes('VERSION')).length, 3)
    await writeFile(join(at.dir, 'old'), `#!/bin/sh\n${speaking('1.0.0')}`)
    assert.equal((await parsed(cni, { cniVersion: '1.1.0', plugins: [newest] })).cniVersion, '1.0.0')
  })

  it('says which plugin speaks which versions when none fits all of a network', async () => {
    await using at = await bench({
      new: speaking('0.4.0', '1.0.0'),
      old: speaking('0.3.1'),
      all: speaking('0.3.1', '0.4.0'),
    })
    await assert.rejects(parsed(at.open(), { cniVersion: '0.3.1', plugins: [{ type: 'all' }, { type: 'new' }] }), {
      kind: 'Invalid',
      message:
        'NetworkAttachmentDefinition default/blue cannot be used: cniVersion: no version up to 0.3.1 is spoken by all plugins ("new" speaks 0.4.0, 1.0.0); set cniVersion to 0.4.0',
    })
    await assert.rejects(parsed(at.open(), { cniVersion: '1.0.0', plugins: [{ type: 'new' }, { type: 'old' }] }), {
      message: /\("new" speaks 0\.4\.0, 1\.0\.0; "old" speaks 0\.3\.1\); use plugins that go together$/,
    })
  })
})
