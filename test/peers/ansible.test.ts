import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { program } from '../../tools/stage/program.ts'
import { type Cluster, startCluster } from '../component/cluster.ts'
import { run, vm } from '../component/manifests.ts'
import { firstMs } from './install/cache.ts'
import { type PythonPeer, pip, providePython, unzip } from './install/python.ts'

const here = fileURLToPath(new URL('ansible/', import.meta.url))
const collections = ['kubernetes/core', 'kubevirt/core'].map((name) => `ansible_collections/${name}/`)
/** Each task starts Python anew, milliseconds. */
const playMs = 200_000

describe('Ansible, with kubernetes.core and kubevirt.core', () => {
  let peer: PythonPeer
  let cluster: Cluster
  before(
    async () => {
      peer = await providePython('ansible', join(here, 'requirements.txt'), {
        madeOf: readFileSync(join(here, 'collections.txt'), 'utf8'),
        make: unpackCollections,
      })
      cluster = await startCluster()
    },
    { timeout: firstMs },
  )
  after(() => cluster?.stop())

  it('makes, changes, stops, starts and removes a VM, and changes nothing the second time', async () => {
    assert.deepEqual(await play('vm.yml'), { failures: 0, unreachable: 0 })
  })

  it('makes, finds, patches, applies, replaces and removes objects of both sorts', async () => {
    assert.deepEqual(await play('objects.yml'), { failures: 0, unreachable: 0 })
  })

  it('takes its inventory from the guests that run', async () => {
    const labels = { app: 'inventory' }
    const { spec } = vm('guest')
    const template = { ...spec.template, metadata: { labels } }
    const manifest = { ...vm('guest'), metadata: { name: 'guest', labels }, spec: { ...spec, template } }
    const { status } = await run(cluster.api, 'default', manifest)
    const inventory = JSON.parse(await ansible('inventory', '--inventory', join(here, 'kubevirt.yml'), '--list'))
    assert.deepEqual(inventory.namespace_default.hosts, ['default-guest'])
    assert.deepEqual(inventory.label_app_inventory.hosts, ['default-guest'])
    const { ansible_host: host, vm_ready: ready } = inventory._meta.hostvars['default-guest']
    assert.deepEqual([host, ready], [{ __ansible_unsafe: status.interfaces[0].ipAddress }, true])
  })

  it('meets no bug of the server', () => assert.deepEqual(cluster.errors, []))

  /** Runs a playbook; resolves to how many tasks failed. */
  async function play(name: string): Promise<{ failures: number; unreachable: number }> {
    const stdout = await ansible('playbook', '--inventory', 'localhost,', '--connection', 'local', join(here, name))
    const count = (what: string) => Number(new RegExp(`${what}=(\\d+)`).exec(stdout)?.[1])
    return { failures: count('failed'), unreachable: count('unreachable') }
  }

  /** Runs a command of Ansible and resolves to its output. @throws Error with its output when that is no success */
  async function ansible(...args: readonly string[]): Promise<string> {
    const home = cluster.dir.root
    const { code, stdout, stderr } = await program(peer.python, ['-m', 'ansible', ...args], {
      timeoutMs: playMs,
      env: {
        HOME: home,
        // What modules remember of a server is under its address, which the next one may have.
        TMPDIR: home,
        ANSIBLE_HOME: join(home, 'ansible'),
        ANSIBLE_COLLECTIONS_PATH: peer.folder,
        ANSIBLE_PYTHON_INTERPRETER: peer.python,
        ANSIBLE_CONFIG: join(here, 'ansible.cfg'),
        K8S_AUTH_KUBECONFIG: cluster.dir.kubeconfig,
      },
    })
    if (code !== 0) throw new Error(`ansible ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}`)
    return stdout
  }
})

/** The collections as they are released, from the package that bundles them with a hundred others. */
async function unpackCollections(folder: string, python: string): Promise<void> {
  const wheels = join(folder, 'wheels')
  await pip(
    python,
    'download',
    '--no-deps',
    '--only-binary',
    ':all:',
    '-d',
    wheels,
    '-r',
    join(here, 'collections.txt'),
  )
  const version = /^ansible==(\S+)$/m.exec(readFileSync(join(here, 'collections.txt'), 'utf8'))?.[1]
  await unzip(python, join(wheels, `ansible-${version}-py3-none-any.whl`), folder, collections)
  await rm(wheels, { recursive: true })
}
