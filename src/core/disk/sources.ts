import type { Volume } from '#apis/kubevirt/disk.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'

/** An object of the instance's namespace that a volume names. */
export type Source = Readonly<{
  kind: 'Secret' | 'ConfigMap' | 'PersistentVolumeClaim'
  name: string
  isOptional: boolean
}>

/** The contents of these objects. A Secret or ConfigMap is its bytes by key, undefined when it does not exist. */
export type SourceObjects = Readonly<{
  secret(name: string): ReadonlyMap<string, Uint8Array> | undefined
  configMap(name: string): ReadonlyMap<string, Uint8Array> | undefined
  claim(name: string): Claim | undefined
}>

/**
 * A claim as a disk needs it; without a volume it is not bound yet. `node` is where its disk is, and `isPopulated` says whether that
 * has its content.
 */
export type Claim = Readonly<{
  uid: string
  bytes: number
  isBound: boolean
  isPopulated: boolean
  node: string | undefined
}>

/** The objects that a guest's volumes and credentials need. */
export function sourcesOf({ spec }: Pick<VirtualMachineInstance, 'spec'>): Source[] {
  const all = [...(spec.volumes ?? []).flatMap(sourcesOfVolume), ...credentialSources(spec)]
  return [...new Map(all.map((one) => [`${one.kind}/${one.name}`, one])).values()]
}

function sourcesOfVolume(one: Volume): Source[] {
  const { cloudInitNoCloud, cloudInitConfigDrive, configMap, secret, sysprep } = one
  const of = (kind: Source['kind'], name: string | undefined, isOptional = false): Source[] =>
    name ? [{ kind, name, isOptional }] : []
  const data = cloudInitNoCloud ?? cloudInitConfigDrive
  return [
    ...of('Secret', data?.secretRef?.name),
    ...of('Secret', data?.networkDataSecretRef?.name),
    ...of('ConfigMap', configMap?.name, configMap?.optional),
    ...of('Secret', secret?.secretName, secret?.optional),
    ...of('Secret', sysprep?.secret?.name),
    ...of('ConfigMap', sysprep?.configMap?.name),
    ...of('PersistentVolumeClaim', claimNameOf(one)),
  ]
}

/** The claim that a volume stands for: that of a DataVolume has its name. */
export function claimNameOf({ persistentVolumeClaim, ephemeral, dataVolume }: Volume): string | undefined {
  return persistentVolumeClaim?.claimName ?? ephemeral?.persistentVolumeClaim?.claimName ?? dataVolume?.name
}

function credentialSources({ accessCredentials = [] }: VirtualMachineInstance['spec']): Source[] {
  return accessCredentials.flatMap(({ sshPublicKey, userPassword }): Source[] => {
    const name = (sshPublicKey ?? userPassword)?.source?.secret?.secretName
    return name ? [{ kind: 'Secret', name, isOptional: false }] : []
  })
}
