import type { CloudInit, Volume } from '#apis/kubevirt/disk.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { decodeBase64 } from '#base/base64.ts'
import { hostnameOf } from '../sandbox/dhcp.ts'
import type { DiskFile } from './disk.ts'
import type { SourceObjects } from './sources.ts'

/** A generated disk, or a sentence for the owner about why it cannot be made. */
type Seed = Extract<DiskFile, { is: 'iso' }> | Readonly<{ problem: string }>

type Files = ReadonlyMap<string, Uint8Array>

const utf8 = new TextEncoder()

/** The keys of a Secret that cloud-init data may have, in KubeVirt's order. */
const userKeys = ['userdata', 'userData']
const networkKeys = ['networkdata', 'networkData']

/** Files that Windows' setup looks for; one of them must be there. */
const answerFiles = ['autounattend.xml', 'unattend.xml']

/** The generated disk of a volume (facts/disks.md §A4); undefined for a volume of another kind. */
export function seedOf(volume: Volume, vmi: VirtualMachineInstance, objects: SourceObjects): Seed | undefined {
  const { cloudInitNoCloud, cloudInitConfigDrive, configMap, secret, downwardAPI, sysprep } = volume
  if (cloudInitNoCloud) return noCloud(cloudInitNoCloud, vmi, objects)
  if (cloudInitConfigDrive) return configDrive(cloudInitConfigDrive, vmi, objects)
  if (configMap) {
    const { name = '', optional = false, volumeLabel = 'cfgdata' } = configMap
    return labelled(volumeLabel, filesIn('ConfigMap', name, objects.configMap(name), optional))
  }
  if (secret) {
    const { secretName = '', optional = false, volumeLabel = 'cfgdata' } = secret
    return labelled(volumeLabel, filesIn('Secret', secretName, objects.secret(secretName), optional))
  }
  if (downwardAPI) return labelled(downwardAPI.volumeLabel ?? 'cfgdata', downwardFiles(downwardAPI, vmi))
  if (sysprep) return labelled('unattendCD', sysprepFiles(sysprep, objects))
  return undefined
}

type MaybeFiles = Files | Readonly<{ problem: string }>

function labelled(label: string, files: MaybeFiles): Seed {
  return 'problem' in files ? files : { is: 'iso', label, files }
}

function filesIn(kind: string, name: string, files: Files | undefined, isOptional: boolean): MaybeFiles {
  return files ?? (isOptional ? new Map() : { problem: missing(kind, name) })
}

/** In the words of kubelet. */
function missing(kind: string, name: string): string {
  return `${kind.toLowerCase()} "${name}" not found`
}

function noCloud(data: CloudInit, vmi: VirtualMachineInstance, objects: SourceObjects): Seed {
  const read = dataOf(data, objects)
  const keys = publicKeys(vmi, objects, 'noCloud')
  if ('problem' in read) return read
  if ('problem' in keys) return keys
  const metaData = {
    'instance-id': instanceId(vmi),
    'local-hostname': hostnameOf(vmi),
    ...(keys.length && { 'public-keys': Object.fromEntries(keys.entries()) }),
  }
  return {
    is: 'iso',
    label: 'cidata',
    files: new Map([
      ['meta-data', utf8.encode(`${JSON.stringify(metaData)}\n`)],
      ['user-data', read.user ?? new Uint8Array()],
      ...(read.network ? [['network-config', read.network] as const] : []),
    ]),
  }
}

function configDrive(data: CloudInit, vmi: VirtualMachineInstance, objects: SourceObjects): Seed {
  const read = dataOf(data, objects)
  const keys = publicKeys(vmi, objects, 'configDrive')
  if ('problem' in read) return read
  if ('problem' in keys) return keys
  const { name, namespace = 'default' } = vmi.metadata
  const metaData = {
    instance_id: `${name}.${namespace}`,
    uuid: instanceId(vmi),
    hostname: hostnameOf(vmi),
    ...(keys.length && { public_keys: Object.fromEntries(keys.entries()) }),
    ...taggedDevices(vmi),
  }
  return {
    is: 'iso',
    label: 'config-2',
    files: new Map([
      ['openstack/latest/meta_data.json', utf8.encode(`${JSON.stringify(metaData)}\n`)],
      ['openstack/latest/user_data', read.user ?? new Uint8Array()],
      ...(read.network ? [['openstack/latest/network_data.json', read.network] as const] : []),
    ]),
  }
}

/**
 * What cloud-init takes as the identity of a machine: it sets a disk up once for each. It stays the same over all starts of a VM,
 * so that a disk that is kept is not set up again.
 */
function instanceId({ spec, metadata }: VirtualMachineInstance): string {
  const owner = metadata.ownerReferences?.find(({ kind }) => kind === 'VirtualMachine')
  return spec.domain.firmware?.uuid ?? owner?.uid ?? metadata.uid ?? ''
}

type Read = Readonly<{ user: Uint8Array | undefined; network: Uint8Array | undefined }>

function dataOf(data: CloudInit, { secret }: SourceObjects): Read | Readonly<{ problem: string }> {
  const { userData, userDataBase64, secretRef, networkData, networkDataBase64, networkDataSecretRef } = data
  const inline = (text: string | undefined, base64: string | undefined) =>
    text ? utf8.encode(text) : base64 ? decodeBase64(base64) : undefined
  const problems: string[] = []
  const from = (name: string | undefined, keys: readonly string[]) => {
    if (!name) return undefined
    const content = secret(name)
    const key = keys.find((one) => content?.has(one))
    if (!content) problems.push(missing('Secret', name))
    else if (!key) problems.push(`the secret "${name}" has none of the keys ${keys.join(', ')}`)
    return key && content?.get(key)
  }
  const user = inline(userData, userDataBase64) ?? from(secretRef?.name, userKeys)
  const network = inline(networkData, networkDataBase64) ?? from(networkDataSecretRef?.name, networkKeys)
  return problems.length ? { problem: problems.join('; ') } : { user: user || undefined, network: network || undefined }
}

/** The SSH keys of the credentials that are propagated in this way, in the order of their Secrets' keys. */
function publicKeys(
  { spec }: VirtualMachineInstance,
  { secret }: SourceObjects,
  method: 'noCloud' | 'configDrive',
): string[] | Readonly<{ problem: string }> {
  const keys: string[] = []
  for (const { sshPublicKey } of spec.accessCredentials ?? []) {
    const name = sshPublicKey?.source?.secret?.secretName
    if (!name || !sshPublicKey?.propagationMethod?.[method]) continue
    const content = secret(name)
    if (!content) return { problem: missing('Secret', name) }
    for (const key of [...content.keys()].toSorted()) {
      const lines = new TextDecoder().decode(content.get(key)).split('\n')
      keys.push(...lines.map((line) => line.trim()).filter(Boolean))
    }
  }
  return keys
}

/** The devices of a config drive: what has a tag. */
function taggedDevices({ spec }: VirtualMachineInstance) {
  const { interfaces = [], disks = [] } = spec.domain.devices
  const nics = interfaces.flatMap(({ tag, macAddress }) =>
    tag ? [{ type: 'nic', bus: 'pci', mac: macAddress, tags: [tag] }] : [],
  )
  const others = disks.flatMap(({ tag, serial }) =>
    tag ? [{ type: 'disk', ...(serial && { serial }), tags: [tag] }] : [],
  )
  const devices = [...nics, ...others]
  return devices.length ? { devices } : {}
}

type DownwardApi = NonNullable<Volume['downwardAPI']>

/** Values of the instance's own metadata; labels and annotations as `key="value"` lines (Kubernetes). */
function downwardFiles({ fields = [] }: DownwardApi, { metadata }: VirtualMachineInstance): MaybeFiles {
  const files = new Map<string, Uint8Array>()
  const lines = (map: Readonly<Record<string, string>> = {}) =>
    Object.entries(map)
      .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
      .toSorted()
      .join('\n')
  for (const { path, fieldRef } of fields) {
    if (!fieldRef) continue
    const { fieldPath } = fieldRef
    const [, map, key = ''] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(fieldPath) ?? []
    const values: Readonly<Record<string, string | undefined>> = {
      'metadata.name': metadata.name,
      'metadata.namespace': metadata.namespace,
      'metadata.uid': metadata.uid,
      'metadata.labels': lines(metadata.labels),
      'metadata.annotations': lines(metadata.annotations),
    }
    const value = map ? (metadata[map as 'labels' | 'annotations']?.[key] ?? '') : values[fieldPath]
    if (value === undefined)
      return {
        problem: `unsupported fieldPath: ${fieldPath}: use metadata.name, namespace, uid, labels or annotations`,
      }
    files.set(path, utf8.encode(value))
  }
  return files
}

function sysprepFiles({ secret, configMap }: NonNullable<Volume['sysprep']>, objects: SourceObjects): MaybeFiles {
  const name = secret?.name ?? configMap?.name ?? ''
  const kind = secret ? 'Secret' : 'ConfigMap'
  const files = filesIn(kind, name, secret ? objects.secret(name) : objects.configMap(name), false)
  if ('problem' in files) return files
  const names = [...files.keys()].map((one) => one.toLowerCase())
  if (answerFiles.some((one) => names.includes(one))) return files
  return {
    problem: `Sysprep drive should contain ${answerFiles.join(' or ')}; the ${kind.toLowerCase()} "${name}" has neither`,
  }
}
