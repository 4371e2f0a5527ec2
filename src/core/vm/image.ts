const imageName = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/
const fileName = /^[A-Za-z0-9_+.-]{1,255}$/

/** Longest path of a file within an image, characters. */
const maxPath = 1024

/** True for what can be the name of an image. */
export function isImageName(text: string): boolean {
  return imageName.test(text)
}

/**
 * True for the path of a file within an image, with or without a slash in front. It is joined to the image's folder, so it must
 * not lead out of it.
 */
export function isFileOfImage(path: string): boolean {
  if (path.length > maxPath) return false
  const parts = path.replace(/^\//, '').split('/')
  return parts.every((part) => fileName.test(part) && part !== '.' && part !== '..')
}
