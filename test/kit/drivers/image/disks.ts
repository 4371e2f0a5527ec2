import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { must } from '../../../../tools/stage/program.ts'
import { tarOf } from './tar.ts'

/** An empty image (qcow2), of 1 GiB unless said, as qemu-img makes it in a folder, with options such as a backing file. */
export async function makeQcow2(
  folder: string,
  name: string,
  args: readonly string[] = [],
  size = '1G',
): Promise<Buffer> {
  const path = join(folder, name)
  await must('qemu-img', ['create', '-q', '-f', 'qcow2', ...args, path, ...(args.includes('-b') ? [] : [size])])
  return readFile(path)
}

/** The layer of a container disk with one file, as KubeVirt's images have it. */
export function diskLayer(content: Buffer, name = 'disk/disk.img'): Buffer {
  return gzipSync(
    tarOf([
      { name: 'disk/', type: '5' },
      { name, content },
    ]),
    { level: 1 },
  )
}
