import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { must, program } from '../../tools/stage/program.ts'
import { type EngineWorld, password, startEngine } from '../component/engine.ts'
import { cannotInstall, firstMs, provide } from './install/cache.ts'
import { type PythonPeer, pip, providePython, unzip } from './install/python.ts'

const here = fileURLToPath(new URL('ovirt/', import.meta.url))
const sdkCases = [...readFileSync(join(here, 'sdk.py'), 'utf8').matchAll(/^@case\("(.+)"\)$/gm)].map(
  ([, name = '']) => name,
)
/** Each task of a play starts Python anew, milliseconds. */
const playMs = 250_000

describe('oVirt’s own clients', () => {
  let world: EngineWorld
  let peer: PythonPeer
  let ca: string
  let host: string
  before(
    async () => {
      peer = await providePython('ovirt', join(here, 'requirements.txt'), {
        // Its project releases no built package of it.
        fromSource: ['ovirt-engine-sdk-python'],
        madeOf: readFileSync(join(here, 'collections.txt'), 'utf8'),
        make: unpackCollection,
      })
      world = await startEngine()
      ca = join(world.cluster.dir.root, 'engine-ca.pem')
      await writeFile(ca, world.cluster.authority.cert)
      host = `127.0.0.1:${world.cluster.ovirtPort}`
    },
    { timeout: firstMs },
  )
  after(() => world?.stop())

  describe('the Python SDK', () => {
    let troubles: ReadonlyMap<string, string>
    before(async () => {
      const args = [join(here, 'sdk.py'), `https://${host}/ovirt-engine/api`, password, ca]
      const lines = (await must(peer.python, args, { timeoutMs: playMs })).trim().split('\n')
      troubles = new Map(
        lines.map((line) => {
          const { name, trouble } = JSON.parse(line)
          return [name, trouble]
        }),
      )
    })

    assert.ok(sdkCases.length > 5)
    for (const name of [...sdkCases, 'a wrong password is refused'])
      it(name, () => assert.ok(troubles.get(name) === '', troubles.get(name) ?? 'It was not run'))
  })

  it('the collection ovirt.ovirt adds, cuts, moves, unplugs, plugs and removes a card, and all else a play does', async () => {
    const given = JSON.stringify({ url: `https://${host}/ovirt-engine/api`, password, ca })
    const home = world.cluster.dir.root
    const play = ['playbook', '--inventory', 'localhost,', '--connection', 'local', '--extra-vars', given]
    const { code, stdout, stderr } = await program(peer.python, ['-m', 'ansible', ...play, join(here, 'nics.yml')], {
      timeoutMs: playMs,
      env: {
        HOME: home,
        TMPDIR: home,
        ANSIBLE_HOME: join(home, 'ansible'),
        ANSIBLE_COLLECTIONS_PATH: peer.folder,
        ANSIBLE_PYTHON_INTERPRETER: peer.python,
        ANSIBLE_CONFIG: join(here, '../ansible/ansible.cfg'),
      },
    })
    assert.equal(code, 0, `${stdout}\n${stderr}`)
    assert.match(stdout, /failed=0 /)
  })

  it('T41: fence_rhevm tells a VM’s status, turns it off and on, and lists them', async () => {
    const fence = await provideFence()
    const [address = '', port = ''] = host.split(':')
    const act = async (action: string, plug = 'vm1') => {
      const args = ['-a', address, '-u', port, '-l', 'admin@internal', '-p', password, '--ssl-insecure', '-n', plug]
      const { code, stdout, stderr } = await program(peer.python, [fence.program, ...args, '-o', action], {
        env: { PYTHONPATH: fence.library },
        timeoutMs: playMs,
      })
      return { code, said: `${stdout}${stderr}` }
    }
    assert.deepEqual(await act('status').then(({ code, said }) => [code, /Status: ON/.test(said)]), [0, true])
    const off = await act('off')
    assert.equal(off.code, 0, off.said)
    assert.equal((await act('status')).code, 2)
    assert.equal((await world.engine.get(`vms/${world.vm2}`)).status, 'down')
    const on = await act('on')
    assert.equal(on.code, 0, on.said)
    assert.equal((await act('status')).code, 0)
    assert.match((await act('list')).said, /vm1,[\s\S]*vm2,/)
  })

  it('T42: libgovirt signs in by Basic, finds VMs by search, starts and stops one', async () => {
    const { stdout: gi } = await program('/usr/bin/python3', [
      '-c',
      'import gi; gi.require_version("GoVirt", "1.0"); print("there")',
    ])
    if (!gi.includes('there'))
      throw cannotInstall(
        'libgovirt',
        'Debian’s gir1.2-govirt-1.0 and python3-gi are not there; npm run setup -- --with-peers',
      )
    const said = await must('/usr/bin/python3', [join(here, 'govirt.py'), host, password, ca], { timeoutMs: playMs })
    assert.match(said, /all is well/)
  })

  it('they meet no bug of the server', () => assert.deepEqual(world.cluster.errors, []))
})

/** fence_rhevm as Debian releases it, unpacked and not installed: its package brings the agents of a hundred devices. */
async function provideFence(): Promise<Readonly<{ program: string; library: string }>> {
  const folder = await provide('fence-agents', ['fence-agents'], async (at) => {
    await must('/bin/sh', ['-c', `cd '${at}' && apt-get download -q fence-agents && dpkg-deb -x ./*.deb .`], {
      timeoutMs: firstMs,
    })
  })
  return { program: join(folder, 'usr/sbin/fence_rhevm'), library: join(folder, 'usr/share/fence') }
}

/** The collection as it is released, from the package that bundles it with a hundred others. */
async function unpackCollection(folder: string, python: string): Promise<void> {
  const wheels = join(folder, 'wheels')
  const list = join(here, 'collections.txt')
  await pip(python, 'download', '--no-deps', '--only-binary', ':all:', '-d', wheels, '-r', list)
  const version = /^ansible==(\S+)$/m.exec(readFileSync(list, 'utf8'))?.[1]
  const wheel = join(wheels, `ansible-${version}-py3-none-any.whl`)
  await unzip(python, wheel, folder, ['ansible_collections/ovirt/ovirt/'])
  await rm(wheels, { recursive: true })
}
