import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { globSync } from 'node:fs'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { Chromium } from '#kit/browser/chromium.ts'
import { pictureOf, showScreen } from '#kit/browser/screen.ts'
import { diskLayer } from '#kit/drivers/image/disks.ts'
import { pushImage, startRegistry, type TestRegistry } from '#kit/drivers/image/registry.ts'
import { path } from '../../tools/stage/api.ts'
import { bootMs, buildDistro, isSetUp, overSsh, sshKey, timesSetUp } from '../../tools/stage/distro.ts'
import { cloudVm, volumesVm } from '../../tools/stage/distro-manifests.ts'
import { addition, addressedNad, nad } from '../../tools/stage/manifests.ts'
import { patienceMs, root, Stage } from '../../tools/stage/stage.ts'

/** As users write it: the mirror leads it to the registry of the test. */
const image = 'quay.io/containerdisks/debian:12'

/** Where cloud-init of the second guest puts what is too large for a manifest. */
const large = '#'.repeat(3000)

/** Size of the disk of the host, by which the guest finds it: Linux names disks in the order in which they answer. */
const hostDiskMiB = 65
const hostDisk = `/dev/$(lsblk -bdno NAME,SIZE | awk '$2 == ${hostDiskMiB * 2 ** 20} { print $1 }')`

/** A Secret for a user of the guest. */
const agentSecret = (user: string, text: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: `of-${user}`, namespace: 'default' },
  stringData: { [user]: text },
})

/** A VM whose agent gives root a key, and debian a password. */
function withAgentCredentials({ spec, ...manifest }: ReturnType<typeof cloudVm>) {
  const source = (secretName: string) => ({ secret: { secretName } })
  const accessCredentials = [
    { sshPublicKey: { source: source('of-root'), propagationMethod: { qemuGuestAgent: { users: ['root'] } } } },
    { userPassword: { source: source('of-debian'), propagationMethod: { qemuGuestAgent: {} } } },
  ]
  const { template } = spec
  return { ...manifest, spec: { ...spec, template: { ...template, spec: { ...template.spec, accessCredentials } } } }
}

describe('a stock cloud image, by manifests written for KubeVirt', () => {
  let stage: Stage
  let registry: TestRegistry | undefined
  let key: Awaited<ReturnType<typeof sshKey>>

  before(
    async () => {
      registry = await startRegistry()
      await pushImage(registry.host, 'containerdisks/debian', [diskLayer(await readFile(await buildDistro()))], '12')
      stage = await Stage.open()
      key = await sshKey(stage)
      const hostDisks = `${stage.dir}/host-disks`
      await mkdir(hostDisks)
      await stage.up(['--registry-mirror', `http://${registry.host}`, '--host-disk-dir', hostDisks])
      await stage.configure({ configuration: { developerConfiguration: { featureGates: ['HostDisk'] } } })
      const users = `users:\n- name: debian\n  sudo: ALL=(ALL) NOPASSWD:ALL\n  shell: /bin/bash\n  ssh_authorized_keys: ["${key.publicKey}"]`
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'seed', namespace: 'default' },
        stringData: {
          userdata: `#cloud-config\nhostname: plain\n${users}\nwrite_files:\n- {path: /large, content: "${large}"}\n`,
        },
      }
      const config = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'settings', namespace: 'default' },
        data: { 'app.conf': 'colour=red' },
      }
      const networkData = `version: 2
ethernets:
  first:
    match: {macaddress: "02:00:00:00:99:01"}
    set-name: pod0
    dhcp4: true
  second:
    match: {macaddress: "02:00:00:00:99:10"}
    set-name: lan0
    addresses: [10.99.0.5/24]
`
      const userData = `#cloud-config\nhostname: myguest\n${users}\nruncmd:\n- [sh, -c, 'date >> /ran']\n`
      await stage.apply(
        nad('lan'),
        addressedNad('blue', { subnet: '10.88.0.0/24' }),
        addressedNad('green', { subnet: '10.89.0.0/24' }),
        secret,
        config,
        agentSecret('root', 'ssh-ed25519 AAAA first'),
        agentSecret('debian', 'pa55-of-debian'),
        withAgentCredentials(cloudVm('cloud', { image, seed: { userData, networkData }, networks: { lan: 'lan' } })),
        volumesVm('plain', [
          { name: 'root', containerDisk: { image } },
          { name: 'seed', cloudInitNoCloud: { secretRef: { name: 'seed' } } },
          { name: 'scratch', emptyDisk: { capacity: '64Mi' } },
          { name: 'settings', configMap: { name: 'settings' } },
          {
            name: 'kept',
            hostDisk: { path: `${hostDisks}/kept.img`, type: 'DiskOrCreate', capacity: `${hostDiskMiB}Mi` },
          },
        ]),
      )
    },
    { timeout: bootMs },
  )
  after(async () => {
    try {
      await stage?.[Symbol.asyncDispose]()
    } finally {
      await registry?.close()
    }
  })

  const ssh = (vm: string, line: string) => overSsh(stage, vm, key.file, line)
  const sees = (vm: string, what: string, line: string, wanted: RegExp) =>
    eventually(what, async () => wanted.test(await ssh(vm, line)), { deadlineMs: patienceMs, everyMs: 300 })
  const imageFiles = () => globSync(`${stage.dir}/images/sha256-*/disk.qcow2`)
  const digestOf = async (file = '') =>
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex')

  test('is pulled once for two guests, and reaches a login on the serial console', async () => {
    await eventually(
      'the console asks for a login',
      async () => /myguest login:/.test(await stage.readSandbox('cloud', 'run/console.log')),
      { deadlineMs: bootMs, everyMs: 500 },
    )
    assert.equal(imageFiles().length, 1)
    const events = await stage.k('get', 'events', '-o', 'jsonpath={.items[*].reason}')
    assert.match(events, /Pulling/)
    assert.match(events, /Pulled/)
  })

  test('is set up by cloud-init: name, user, key, commands, and addresses by MAC', async () => {
    await isSetUp(stage, 'cloud')
    assert.equal(await ssh('cloud', 'hostname; id -un; wc -l < /ran'), 'myguest\ndebian\n1')
    assert.match(await ssh('cloud', 'ip -br -4 addr show lan0'), /10\.99\.0\.5\/24/)
    assert.match(await ssh('cloud', 'ip -br -4 addr show pod0'), /10\.0\.2\.2\/24/)
    const { body } = await stage.api.call('GET', path.vmi('cloud'))
    assert.deepEqual(
      body.status.volumeStatus.map(({ name, target }: { name: string; target: string }) => [name, target]),
      [
        ['containerdisk', 'vda'],
        ['cloudinitdisk', 'vdb'],
      ],
    )
  })

  test('has the keys and passwords that its agent is to set, and the new ones when they change', async () => {
    await isSetUp(stage, 'cloud')
    const keys = () => ssh('cloud', 'sudo cat /root/.ssh/authorized_keys')
    await eventually('the key is there', async () => /AAAA first/.test(await keys()), { deadlineMs: patienceMs })
    assert.match(await ssh('cloud', 'sudo getent shadow debian'), /^debian:\$/)
    const { body } = await stage.api.call('GET', path.vmi('cloud'))
    const type = 'AccessCredentialsSynchronized'
    assert.equal(body.status.conditions.find((one: { type: string }) => one.type === type)?.status, 'True')
    await stage.apply(agentSecret('root', 'ssh-ed25519 BBBB second'))
    await eventually('the new key replaces it', async () => (await keys()).trim() === 'ssh-ed25519 BBBB second', {
      deadlineMs: patienceMs,
    })
  })

  test('volumes alone are disks on sata, which the guest sees with what is on them', async () => {
    await isSetUp(stage, 'plain')
    assert.equal(await ssh('plain', 'hostname; wc -c < /large'), `plain\n${large.length}`)
    const { body } = await stage.api.call('GET', path.vmi('plain'))
    assert.deepEqual(
      body.status.volumeStatus.map(({ name, target }: { name: string; target: string }) => `${name} ${target}`),
      ['root sda', 'seed sdb', 'scratch sdc', 'settings sdd', 'kept sde'],
    )
    assert.match(await stage.virsh('plain', 'dumpxml', 'default_plain'), /dev='sda' bus='sata'/)
    const settings = 'sudo mount -o ro /dev/disk/by-label/cfgdata /mnt && cat /mnt/app.conf; sudo umount /mnt'
    assert.equal(await ssh('plain', settings), 'colour=red')
    await ssh('plain', `echo kept | sudo dd of=${hostDisk} conv=fsync,notrunc status=none; echo gone > stays; sync`)
    assert.equal((await stat(`${stage.dir}/host-disks/kept.img`)).size, hostDiskMiB * 2 ** 20)
  })

  test('feels its cables: networkd loses the carrier and finds it again', async () => {
    const patch = (state: string) =>
      stage.k(
        'patch',
        'vm',
        'cloud',
        '--type=json',
        '-p',
        JSON.stringify([{ op: 'add', path: '/spec/template/spec/domain/devices/interfaces/1/state', value: state }]),
      )
    await patch('down')
    await sees('cloud', 'the carrier is lost', 'networkctl --no-pager status lan0 | cat', /no-carrier/)
    await patch('up')
    await sees('cloud', 'the carrier is back', 'networkctl --no-pager status lan0 | cat', /routable/)
  })

  test('a plugged card asks for an address, keeps its name on another network, and goes', async () => {
    await stage.k('patch', 'vm', 'cloud', '--type=json', '-p', JSON.stringify(addition('more', 'blue')))
    await sees('cloud', 'the plugged card has an address', 'ip -br -4 addr', /10\.88\.0\.\d+\/24/)
    const name = async (network: string) =>
      (await ssh('cloud', 'ip -br -4 addr'))
        .split('\n')
        .find((line) => line.includes(network))
        ?.split(/\s/)[0]
    const plugged = await name('10.88.0.')
    await stage.p('rewire', 'cloud', 'more', '--to', 'green')
    await sees('cloud', 'it has an address of the other network', 'ip -br -4 addr', /10\.89\.0\.\d+\/24/)
    assert.equal(await name('10.89.0.'), plugged)
    await stage.p('unplug', 'cloud', 'more')
    await eventually('the card is gone', async () => !(await ssh('cloud', 'ip -br link')).includes(plugged ?? '?'), {
      deadlineMs: patienceMs,
    })
  })

  test('its screen is shown by noVNC in Chromium, which signs in with a token, and takes what is typed there', async () => {
    await stage.apply({
      ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding' },
      metadata: { name: 'viewer', namespace: 'default' },
      subjects: [{ kind: 'ServiceAccount', name: 'default', namespace: 'default' }],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'kubevirt.io:admin' },
    })
    const token = (await stage.k('create', 'token', 'default')).trim()
    await using chromium = await Chromium.open()
    const page = await chromium.page('https://127.0.0.1:7443', `${root}/node_modules`)
    const url = `wss://127.0.0.1:7443${path.vmi('cloud').replace('kubevirt.io', 'subresources.kubevirt.io')}/vnc`
    await showScreen(page, url, token)
    const isLit = async () => (await pictureOf(page)).lit > 1000
    await eventually('the picture has come', isLit, { deadlineMs: patienceMs })
    const { width, height, lit } = await pictureOf(page)
    assert.ok(width >= 640 && height >= 400, `${width} x ${height}`)
    await page.keyboard.type('debian\n')
    await sees('cloud', 'the guest reads what was typed', 'sudo cat /dev/vcs1', /login: debian *Password:/)
    const hasMore = async () => (await pictureOf(page)).lit > lit
    await eventually('the picture shows it', hasMore, { deadlineMs: patienceMs })
    assert.deepEqual(chromium.errors, [])
  })

  test('moves with its disks, and what it wrote is the same afterwards', async () => {
    const written = await ssh('cloud', 'head -c 20000000 /dev/urandom > big; sync; sha256sum < big')
    const before = await digestOf(imageFiles()[0])
    await stage.p('migrate', 'cloud')
    await eventually(
      'the guest has moved',
      async () => (await stage.api.call('GET', path.vmi('cloud'))).body.status.migrationState?.completed === true,
      { deadlineMs: patienceMs },
    )
    const { migrationState } = (await stage.api.call('GET', path.vmi('cloud'))).body.status
    assert.notEqual(migrationState.failed, true)
    assert.equal(await ssh('cloud', 'echo 3 | sudo tee /proc/sys/vm/drop_caches > /dev/null; sha256sum < big'), written)
    await ssh('cloud', 'echo more > more; sync')
    assert.equal(await digestOf(imageFiles()[0]), before, 'the image is never written')
  })

  test('a soft reboot keeps the disk; a stop and a start drops all but the disk of the host', async () => {
    const bootId = await ssh('cloud', 'cat /proc/sys/kernel/random/boot_id')
    const rebooting = (async () => {
      const times = await timesSetUp(stage, 'cloud')
      await stage.p('soft-reboot', 'cloud')
      await isSetUp(stage, 'cloud', times + 1)
      assert.notEqual(await ssh('cloud', 'cat /proc/sys/kernel/random/boot_id'), bootId)
      assert.equal(await ssh('cloud', 'cat more; wc -l < /ran'), 'more\n1', 'cloud-init ran once')
    })()
    const before = await stage.sandbox('plain')
    await stage.p('restart', 'plain')
    const isAnother = async () => (await stage.sandbox('plain')) !== before
    await eventually('another sandbox is there', isAnother, { deadlineMs: patienceMs })
    await isSetUp(stage, 'plain')
    const kept = await ssh('plain', `sudo head -c 4 ${hostDisk}; echo; ls stays 2> /dev/null | wc -l`)
    await rebooting
    assert.equal(kept, 'kept\n0')
  })

  test('leaves nothing: with its guests go overlays, seeds and sockets, and the image is unused', async () => {
    await stage.k('delete', 'vm', 'cloud', 'plain', '--wait=true', `--timeout=${patienceMs / 1000}s`)
    await eventually('the sandboxes are gone', async () => globSync(`${stage.dir}/pods/*`).length === 0, {
      deadlineMs: patienceMs,
    })
    const [file = ''] = imageFiles()
    assert.equal((await stat(file)).nlink, 1)
    assert.equal((await readFile(`${stage.dir}/host-disks/kept.img`)).subarray(0, 4).toString(), 'kept')
  })
})
