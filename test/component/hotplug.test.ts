import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, type Api, vmisPath, vmsPath } from './api.ts'
import { cli } from './cli-kit.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, run, running, vm } from './manifests.ts'
import { claim, claimsPath, dataVolume, dataVolumesPath, withVolumes } from './volumes.ts'

const late = (name: string, claimName = name) => ({
  name,
  persistentVolumeClaim: { claimName, hotpluggable: true },
})
const verb = (ns: string, plural: string, name: string, what: string) =>
  `/apis/subresources.kubevirt.io/v1/namespaces/${ns}/${plural}/${name}/${what}`
const options = (name: string, disk: Any = { disk: { bus: 'scsi' } }) => ({
  ...{ name, disk, volumeSource: { persistentVolumeClaim: { claimName: name } } },
})

describe('hot plug of volumes', () => {
  let cluster: Cluster
  let api: Api
  before(async () => {
    cluster = await startCluster()
    api = cluster.api
  })
  after(async () => {
    const errors = cluster?.errors ?? []
    await cluster?.stop()
    assert.deepEqual(errors, [])
  })

  const volumeOf = (vmi: Any, name: string) => vmi?.status?.volumeStatus?.find((one: Any) => one.name === name)
  /** The status of a volume once it has a phase; none is that the guest does not have it any more. */
  const becomes = async (ns: string, [vmi, name]: readonly [string, string], phase: string | undefined): Promise<Any> =>
    volumeOf(
      await api.until(
        `${name} of ${vmi} is ${phase}`,
        vmisPath(ns, vmi),
        (one) => volumeOf(one, name)?.phase === phase,
      ),
      name,
    )
  const call = async (
    ns: string,
    plural: string,
    [name, what]: readonly [string, string],
    body: Any,
    as: Api = api,
  ) => {
    const { code, json } = await as.send('PUT', verb(ns, plural, name, what), { body })
    return { code, message: json?.message as string | undefined }
  }
  const events = async (ns: string) =>
    (await api.list(`/api/v1/namespaces/${ns}/events`)).map((one) => `${one.reason}: ${one.message}`)
  const specOf = async (ns: string, name: string) => (await api.get(vmsPath(ns, name))).spec.template.spec

  it('is asked of a VM by addvolume and removevolume, which change its template and its guest', async () => {
    const ns = await makeNamespace(api)
    await api.create(claimsPath(ns), claim('data'))
    await run(api, ns, vm('a'))
    const dry = await call(ns, 'virtualmachines', ['a', 'addvolume'], { ...options('data'), dryRun: ['All'] })
    assert.deepEqual([dry.code, (await specOf(ns, 'a')).volumes], [202, undefined])
    assert.equal((await call(ns, 'virtualmachines', ['a', 'addvolume'], options('data'))).code, 202)
    const { volumes, domain } = await specOf(ns, 'a')
    assert.deepEqual([volumes, domain.devices.disks], [[late('data')], [{ name: 'data', disk: { bus: 'scsi' } }]])
    const { persistentVolumeClaimInfo, ...seen } = await becomes(ns, ['a', 'data'], 'Ready')
    assert.deepEqual(seen, {
      ...{ name: 'data', target: 'sda', phase: 'Ready', reason: 'VolumeReady', hotplugVolume: {} },
      message: 'Successfully attach hotplugged volume data to VM',
    })
    assert.deepEqual(
      [persistentVolumeClaimInfo.claimName, persistentVolumeClaimInfo.capacity],
      ['data', { storage: '1Gi' }],
    )
    assert.equal(condition(await api.get(vmsPath(ns, 'a')), 'RestartRequired'), undefined)
    assert.equal((await call(ns, 'virtualmachines', ['a', 'removevolume'], { name: 'data' })).code, 202)
    await becomes(ns, ['a', 'data'], undefined)
    assert.equal((await specOf(ns, 'a')).volumes, undefined)
    assert.equal((await api.get(vmisPath(ns, 'a'))).spec.volumes, undefined)
    assert.equal(condition(await api.get(vmsPath(ns, 'a')), 'RestartRequired'), undefined)
    await eventually('its Events', async () => {
      const all = await events(ns)
      return ['VolumeReady: Successfully attach', 'VolumeUnplugged: Volume data has been unplugged'].every((text) =>
        all.some((one) => one.startsWith(text)),
      )
    })
  })

  it('is refused in the words of KubeVirt', async () => {
    const ns = await makeNamespace(api)
    await api.create(claimsPath(ns), claim('data'))
    await run(api, ns, withVolumes(vm('a'), { name: 'root', emptyDisk: { capacity: '1Gi' } }))
    const refused = async (plural: string, target: readonly [string, string], body: Any) => {
      const { code, message } = await call(ns, plural, target, body)
      return `${code} ${message}`
    }
    const conflict = 'Operation cannot be fulfilled on'
    const theVm = `409 ${conflict} virtualmachine.kubevirt.io "a"`
    const cases: readonly (readonly [plural: string, what: string, body: Any, answer: string])[] = [
      ['virtualmachines', 'addvolume', {}, '400 AddVolumeOptions requires name to be set'],
      ['virtualmachines', 'addvolume', { name: 'x' }, '400 AddVolumeOptions requires disk to not be nil'],
      [
        ...(['virtualmachines', 'addvolume', { name: 'x', disk: {} }] as const),
        '400 AddVolumeOptions requires VolumeSource to not be nil',
      ],
      [
        ...(['virtualmachines', 'addvolume', options('root')] as const),
        `${theVm}: Unable to add volume [root] because volume with that name already exists`,
      ],
      ['virtualmachines', 'removevolume', {}, '400 RemoveVolumeOptions requires name to be set'],
      [
        ...(['virtualmachines', 'removevolume', { name: 'x' }] as const),
        `${theVm}: Unable to remove volume [x] because it does not exist`,
      ],
      [
        ...(['virtualmachines', 'removevolume', { name: 'root' }] as const),
        `${theVm}: Unable to remove volume [root] because it is not hotpluggable`,
      ],
      [
        ...(['virtualmachineinstances', 'addvolume', options('data')] as const),
        `409 ${conflict} virtualmachineinstance.kubevirt.io "a": VMI ${ns}/a is owned by a VM`,
      ],
    ]
    for (const [plural, what, body, answer] of cases) assert.equal(await refused(plural, ['a', what], body), answer)
    const lun = await call(ns, 'virtualmachines', ['a', 'addvolume'], options('data', { lun: {} }))
    assert.deepEqual([lun.code, /lun/.test(lun.message ?? '')], [422, true])
    const none = await call(ns, 'virtualmachines', ['b', 'addvolume'], options('data'))
    assert.deepEqual([none.code, none.message], [404, 'virtualmachine.kubevirt.io "b" not found'])
    await call(ns, 'virtualmachines', ['a', 'addvolume'], options('data'))
    assert.equal(
      await refused('virtualmachines', ['a', 'addvolume'], { ...options('data'), name: 'other' }),
      `${theVm}: Unable to add volume source [data] because it already exists`,
    )
  })

  it('of an instance that no VM has is asked of that', async () => {
    const ns = await makeNamespace(api)
    await api.create(claimsPath(ns), claim('data'))
    await api.create(vmisPath(ns), { metadata: { name: 'a' }, spec: vm('a').spec.template.spec })
    await api.until('it runs', vmisPath(ns, 'a'), (one) => one?.status?.phase === 'Running')
    const add = (body: Any) => call(ns, 'virtualmachineinstances', ['a', 'addvolume'], body)
    assert.equal((await add(options('data', { disk: { bus: 'virtio' } }))).code, 202)
    assert.equal((await becomes(ns, ['a', 'data'], 'Ready')).target, 'vda')
    assert.match(
      (await add(options('data'))).message ?? '',
      /Unable to add volume \[data\] because volume with that name/,
    )
    const bad = await add({ ...options('more'), disk: { disk: { bus: 'virtio' }, serial: 'a b' } })
    assert.deepEqual([bad.code, /serial must be made up of/.test(bad.message ?? '')], [400, true])
    const edited = await api.send('PATCH', vmisPath(ns, 'a'), {
      body: JSON.stringify({ spec: { volumes: [] } }),
      type: 'application/merge-patch+json',
    })
    assert.equal(edited.code, 422)
    assert.match(edited.json.message, /update of VMI object is restricted/)
    assert.equal((await call(ns, 'virtualmachineinstances', ['a', 'removevolume'], { name: 'data' })).code, 202)
    await becomes(ns, ['a', 'data'], undefined)
  })

  it('needs the right to update the subresource, and is written to the audit log as other verbs', async () => {
    const ns = await makeNamespace(api)
    await api.create(claimsPath(ns), claim('data'))
    await run(api, ns, vm('a'))
    const jane = await cluster.as('jane', [])
    const denied = await call(ns, 'virtualmachines', ['a', 'addvolume'], options('data'), jane)
    assert.deepEqual(
      [denied.code, /cannot update resource "virtualmachines\/addvolume"/.test(denied.message ?? '')],
      [403, true],
    )
    await api.create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/rolebindings`, {
      metadata: { name: 'jane' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'jane' }],
    })
    await eventually(
      'she may',
      async () => (await call(ns, 'virtualmachines', ['a', 'addvolume'], options('data'), jane)).code === 202,
    )
    await eventually('both calls are in the audit log', async () => {
      const lines = (await readFile(cluster.dir.audit, 'utf8')).trimEnd().split('\n')
      const own = lines
        .map((line) => JSON.parse(line))
        .filter(({ user, namespace }) => user === 'jane' && namespace === ns)
      const codes = own.filter((one) => JSON.stringify(one).includes('addvolume')).map(({ code }) => code)
      return codes.includes(403) && codes.at(-1) === 202
    })
    await becomes(ns, ['a', 'data'], 'Ready')
  })

  it('follows the template: volumes come and leave, media are inserted and ejected, and others need a restart', async () => {
    const ns = await makeNamespace(api)
    for (const name of ['data', 'disc']) await api.create(claimsPath(ns), claim(name))
    await api.create(dataVolumesPath(ns), dataVolume('more', { blank: {} }))
    const drive = { name: 'cd', cdrom: { bus: 'sata' } }
    const machine = vm('a')
    machine.spec.template.spec.domain.devices.disks = [drive]
    await run(api, ns, machine)
    const declare = (disks: readonly Any[], volumes: readonly Any[]) =>
      api.patch(vmsPath(ns, 'a'), { spec: { template: { spec: { domain: { devices: { disks } }, volumes } } } })
    const more = { name: 'more', dataVolume: { name: 'more', hotpluggable: true } }
    const [onScsi, onVirtio] = [
      { name: 'data', disk: { bus: 'scsi' } },
      { name: 'more', disk: { bus: 'virtio' } },
    ]
    await declare([drive, onScsi, onVirtio], [late('data'), more, late('cd', 'disc')])
    const targets = []
    for (const name of ['data', 'more', 'cd']) targets.push((await becomes(ns, ['a', name], 'Ready')).target)
    assert.deepEqual(targets, ['sdb', 'vda', 'sda'])
    await declare([drive, onScsi], [late('data')])
    for (const name of ['more', 'cd']) await becomes(ns, ['a', name], undefined)
    assert.equal((await becomes(ns, ['a', 'data'], 'Ready')).target, 'sdb')
    assert.equal(condition(await api.get(vmsPath(ns, 'a')), 'RestartRequired'), undefined)
    await declare([drive, onScsi, onVirtio], [late('data'), { name: 'more', emptyDisk: { capacity: '1Gi' } }])
    await api.until('a restart', vmsPath(ns, 'a'), (one) => condition(one, 'RestartRequired')?.status === 'True')
    assert.equal(volumeOf(await api.get(vmisPath(ns, 'a')), 'more'), undefined)
    await declare([drive, onScsi], [late('data')])
    await api.until('none', vmsPath(ns, 'a'), (one) => !condition(one, 'RestartRequired'))
  })

  it('waits for the claim, whose state it shows, and a guest starts without waiting for it', async () => {
    const ns = await makeNamespace(api)
    const machine = withVolumes(vm('a'), late('data'))
    await run(api, ns, machine)
    const pending = await becomes(ns, ['a', 'data'], 'Pending')
    assert.deepEqual(
      [pending.reason, pending.message],
      ['FailedPvcNotFound', `PVC ${ns}/data does not exist, waiting for it to appear`],
    )
    await eventually('an Event', async () => (await events(ns)).some((one) => one.startsWith('FailedPvcNotFound')))
    await api.create(dataVolumesPath(ns), dataVolume('slow', { registry: { url: 'docker://registry.example/slow' } }))
    await call(ns, 'virtualmachines', ['a', 'addvolume'], options('slow'))
    assert.match((await becomes(ns, ['a', 'slow'], 'Bound')).message, /has not got its content, waiting for it/)
    await api.create(claimsPath(ns), claim('data'))
    await becomes(ns, ['a', 'data'], 'Ready')
  })

  it('never gives two guests one disk: the second one has it when the first one has let go', async () => {
    const ns = await makeNamespace(api)
    for (const name of ['sticky', 'data']) await api.create(claimsPath(ns), claim(name))
    for (const name of ['a', 'b']) await run(api, ns, vm(name))
    for (const name of ['sticky', 'data']) {
      await call(ns, 'virtualmachines', ['a', 'addvolume'], options(name))
      await becomes(ns, ['a', name], 'Ready')
      await call(ns, 'virtualmachines', ['b', 'addvolume'], options(name))
      const waits = await becomes(ns, ['b', name], 'Bound')
      assert.deepEqual(
        [waits.reason, waits.message],
        ['ClaimInUse', `PVC ${ns}/${name} is used by the instance a, waiting for it to be released`],
      )
      await call(ns, 'virtualmachines', ['a', 'removevolume'], { name })
    }
    await becomes(ns, ['b', 'data'], 'Ready')
    // The guest of a does not let go of this one.
    await becomes(ns, ['a', 'sticky'], 'Detaching')
    await api.delete(claimsPath(ns, 'sticky'))
    assert.ok((await api.get(claimsPath(ns, 'sticky'))).metadata.deletionTimestamp)
    await api.create(vmsPath(ns), withVolumes(vm('c'), { name: 'x', persistentVolumeClaim: { claimName: 'data' } }))
    const c = await api.until('c waits', vmisPath(ns, 'c'), (one) => condition(one, 'Synchronized'))
    assert.match(condition(c, 'Synchronized').message, /is used by the instance b/)
    await call(ns, 'virtualmachines', ['b', 'removevolume'], { name: 'data' })
    await running(api, ns, 'c')
    await call(ns, 'virtualmachines', ['b', 'removevolume'], { name: 'sticky' })
    await becomes(ns, ['b', 'sticky'], undefined)
    assert.ok(await api.get(claimsPath(ns, 'sticky')))
    await api.delete(vmsPath(ns, 'a'))
    await api.until('the claim goes with its guest', claimsPath(ns, 'sticky'), (one) => one === undefined)
  })

  it('that fails is tried again, and says so', async () => {
    const ns = await makeNamespace(api)
    await api.create(claimsPath(ns), claim('stuck'))
    await run(api, ns, vm('a'))
    await call(ns, 'virtualmachines', ['a', 'addvolume'], options('stuck'))
    const failed = await becomes(ns, ['a', 'stuck'], 'MountedToPod')
    assert.deepEqual([failed.reason, failed.message], ['FailedAttach', 'libvirt refused to attach ua-stuck'])
    const sync = condition(await api.get(vmisPath(ns, 'a')), 'Synchronized')
    assert.equal(sync.message, 'volume "stuck" cannot be plugged: libvirt refused to attach ua-stuck')
    await call(ns, 'virtualmachines', ['a', 'removevolume'], { name: 'stuck' })
    await becomes(ns, ['a', 'stuck'], undefined)
    await api.until('it is well', vmisPath(ns, 'a'), (one) => !condition(one, 'Synchronized'))
  })

  it("is asked by addvolume and removevolume of the command line in virtctl's words", async () => {
    const ns = await makeNamespace(api)
    await api.create(claimsPath(ns), claim('data'))
    await api.create(dataVolumesPath(ns), dataVolume('more', { blank: {} }))
    await run(api, ns, vm('a'))
    const says = async (args: string) => {
      const { code, out, err } = await cli(cluster, `${args} -n ${ns}`)
      return `${code} ${out}${err}`.trim()
    }
    const added = 'Successfully submitted add volume request to VM a for volume'
    assert.equal(await says('addvolume a --volume-name=data --dry-run'), `0 Dry Run execution\n${added} data`)
    assert.equal((await specOf(ns, 'a')).volumes, undefined)
    assert.equal(await says('addvolume a --volume-name=data --cache=none --disk-name=disk1'), `0 ${added} data`)
    assert.equal(await says('addvolume a --volume-name=more --bus=virtio --serial=S1'), `0 ${added} more`)
    const { volumes, domain } = await specOf(ns, 'a')
    assert.deepEqual(volumes, [
      late('disk1', 'data'),
      { name: 'more', dataVolume: { name: 'more', hotpluggable: true } },
    ])
    assert.deepEqual(domain.devices.disks, [
      { name: 'disk1', disk: { bus: 'scsi' }, serial: 'data', cache: 'none' },
      { name: 'more', disk: { bus: 'virtio' }, serial: 'S1' },
    ])
    for (const name of ['disk1', 'more']) await becomes(ns, ['a', name], 'Ready')
    assert.equal(
      await says('removevolume a --volume-name=more'),
      '0 Successfully submitted remove volume request to VM a for volume more',
    )
    await becomes(ns, ['a', 'more'], undefined)
    for (const [args, answer] of [
      [
        'addvolume a --volume-name=none',
        'error adding volume, Volume none is not a DataVolume or PersistentVolumeClaim',
      ],
      ['addvolume a --volume-name=data --bus=sata', 'error adding volume, invalid bus sata for type disk'],
      ['addvolume a --volume-name=data --disk-type=tape', 'error adding volume, invalid disk type tape'],
      [
        'removevolume a --volume-name=x',
        'error removing volume, Operation cannot be fulfilled on virtualmachine.kubevirt.io "a": Unable to remove volume [x] because it does not exist',
      ],
      ['removevolume b --volume-name=x', 'error removing volume, virtualmachineinstance.kubevirt.io "b" not found'],
    ] as const)
      assert.equal(await says(args), `1 ${answer}`)
  })
})
