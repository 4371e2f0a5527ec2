import type { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { isList, isObject, parsedJson } from '#base/json.ts'
import { profilesAnnotation } from './names.ts'

/** A vNIC profile as the annotation of its network has it. */
export type DeclaredProfile = Readonly<{ name: string; isMirroring: boolean; comment: string }>

/** The profiles in the annotation of a network; what in it is none is left out. */
export function declaredProfiles({
  metadata,
}: Pick<NetworkAttachmentDefinition, 'metadata'>): readonly DeclaredProfile[] {
  const value = parsedJson(metadata.annotations?.[profilesAnnotation] ?? '[]')
  if (!Array.isArray(value) || !isList(value)) return []
  return value.filter(isObject).flatMap(({ name, port_mirroring, comment }): DeclaredProfile[] => {
    if (typeof name !== 'string') return []
    return [{ name, isMirroring: port_mirroring === true, comment: typeof comment === 'string' ? comment : '' }]
  })
}
