import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { isFileOfImage, isImageName } from '../vm/image.ts'

const uuidPattern = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i
/** Longest value quoted in a message, characters. */
const maxShown = 64

/** All errors in the identity of a guest and in what it boots from. `path` is the path of the spec. */
export function bootErrors(spec: VmiSpec, path: string): FieldError[] {
  const { uuid, kernelBoot } = spec.domain.firmware ?? {}
  const errors: FieldError[] = []
  if (uuid !== undefined && !uuidPattern.test(uuid))
    errors.push({
      field: `${path}.domain.firmware.uuid`,
      message: `Invalid value: ${JSON.stringify(uuid.slice(0, maxShown))}: must be a UUID, such as 5d307ca9-b3ef-428c-8861-06e72d69f223; leave it out to have one chosen`,
      reason: 'FieldValueInvalid',
    })
  const container = kernelBoot?.container
  if (!container) return errors
  const at = `${path}.domain.firmware.kernelBoot.container`
  if (container.image !== undefined && !isImageName(container.image))
    errors.push(
      bad(
        `${at}.image`,
        'must be the name of an image made by "patchbay image import": at most 63 lower-case letters, digits, dots, dashes and underscores',
      ),
    )
  for (const field of ['kernelPath', 'initrdPath'] as const) {
    const file = container[field]
    if (file !== undefined && !isFileOfImage(file))
      errors.push(bad(`${at}.${field}`, 'must name a file of the image, for example /vmlinuz; ".." leads out of it'))
  }
  return errors
}

function bad(field: string, why: string): FieldError {
  return invalidValue(field, `${field} ${why}`)
}
