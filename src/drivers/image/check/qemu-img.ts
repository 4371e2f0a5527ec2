import { Fault } from '#base/fault.ts'
import { isObject, parsedJson } from '#base/json.ts'
import { endOf, programFault, spawnLimited } from '../files/limited.ts'

const limits = { memoryBytes: 2 ** 30, cpuSeconds: 10 }
/** What `qemu-img info` says of the largest header is far below this, bytes. */
const maxOutput = 1024 * 1024

/**
 * Asks QEMU what it makes of an image in a format that is known already, and compares: it reads the file otherwise than we do.
 * `file` is open for reading.
 * @throws Fault Invalid for an image that QEMU takes otherwise
 */
export async function requireAsSeen(
  file: Readonly<{ fd: number }>,
  image: Readonly<{ what: string; format: 'qcow2' | 'raw'; virtualBytes: number }>,
  signal: AbortSignal,
): Promise<void> {
  const { what, format, virtualBytes } = image
  const info = await infoOf(file.fd, format, what, signal)
  const specific = isObject(info['format-specific']) ? info['format-specific'].data : undefined
  const details = isObject(specific) ? specific : {}
  const problem =
    (info.format !== format && 'QEMU sees another format') ||
    (info['virtual-size'] !== virtualBytes && 'QEMU sees another virtual size') ||
    (info['backing-filename'] !== undefined && 'it has a backing file') ||
    (details['data-file'] !== undefined && 'it keeps its data in another file') ||
    (info.encrypted === true && 'it is encrypted') ||
    (info.snapshots !== undefined && 'it has internal snapshots') ||
    (details.corrupt === true && 'it is marked as corrupt')
  if (problem) throw new Fault('Invalid', `${what} is refused: ${problem}`)
}

async function infoOf(fd: number, format: string, what: string, signal: AbortSignal) {
  const child = spawnLimited(['qemu-img', 'info', '--output=json', '-f', format, '/dev/stdin'], fd, limits)
  const stop = () => child.process.kill('SIGKILL')
  signal.addEventListener('abort', stop)
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk
    if (text.length > maxOutput) stop()
  })
  try {
    const end = await endOf(child)
    signal.throwIfAborted()
    if (end.code !== 0) throw programFault('qemu-img', what, end)
  } finally {
    signal.removeEventListener('abort', stop)
  }
  const info = parsedJson(text)
  if (!isObject(info)) throw new Fault('Invalid', `${what} cannot be read by qemu-img`)
  return info
}
