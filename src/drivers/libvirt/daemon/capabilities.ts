import { copyFile, mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'

/*
 * Before its first guest, a libvirtd asks QEMU what it can do: 2 to 6 seconds of CPU. The answer is a file that any other
 * sandbox with the same QEMU, kernel, QEMU user and access to KVM may use; libvirt checks that by itself and asks again
 * when it does not fit. Answers with and without KVM go to different folders, for they would push each other out.
 */

type Place = Readonly<{ dir: string; kvm: boolean; sharedDir: string }>

/** Gives a sandbox what others have learned. To be called before its libvirtd starts. */
export async function seedCapabilities(place: Place): Promise<void> {
  await copyAll(shared(place), own(place))
}

/** Keeps what a sandbox has learned for the next ones. To be called after its first guest has started. */
export async function keepCapabilities(place: Place): Promise<void> {
  await copyAll(own(place), shared(place))
}

function own({ dir }: Place): string {
  return join(dir, 'var/cache/libvirt/qemu/capabilities')
}

function shared({ sharedDir, kvm }: Place): string {
  return join(sharedDir, kvm ? 'kvm' : 'tcg')
}

/** Files are named by the path of the QEMU they are about. */
async function copyAll(from: string, to: string): Promise<void> {
  const names = await readdir(from).catch(() => [])
  await mkdir(to, { recursive: true, mode: 0o755 })
  for (const name of names.filter((name) => name.endsWith('.xml'))) {
    const temporary = join(to, `${name}.new`)
    await copyFile(join(from, name), temporary)
    await rename(temporary, join(to, name))
  }
}
