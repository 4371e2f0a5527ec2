const imageName = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/
const fileName = /^[A-Za-z0-9_+.-]{1,255}$/

/** Longest path of a file within an image, characters. */
const maxPath = 1024

/** Whether a text can be the name of an image. */
export function isImageName(text: string): boolean {
  return imageName.test(text)
}

/**
 * Whether a text is a path of a file within an image, with or without a leading slash. It is joined to the image's folder, so it
 * must not leave it.
 */
export function isFileOfImage(path: string): boolean {
  if (path.length > maxPath) return false
  const parts = path.replace(/^\//, '').split('/')
  return parts.every((part) => fileName.test(part) && part !== '.' && part !== '..')
}
