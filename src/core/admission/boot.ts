import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { isFileOfImage, isImageName } from '../vm/image.ts'

/** Everything wrong with what a guest is to boot from. `path` is where the spec stands. */
export function bootErrors(spec: VmiSpec, path: string): FieldError[] {
  const container = spec.domain.firmware?.kernelBoot?.container
  if (!container) return []
  const at = `${path}.domain.firmware.kernelBoot.container`
  const errors: FieldError[] = []
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
  return { field, message: `${field} ${why}`, reason: 'FieldValueInvalid' }
}
