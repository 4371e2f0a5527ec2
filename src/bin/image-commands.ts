import type { Command } from 'commander'
import type { Log } from '#base/log.ts'
import { addDownloadOptions, downloadOptionsOf, type GivenDownloads } from './image-options.ts'
import { dataDirOption } from './options.ts'
import { addUploadCommand } from './upload-command.ts'

type GivenPull = GivenDownloads &
  Readonly<{ dataDir: string; name?: string; checksum?: string; path?: string; always: boolean; authFile?: string }>

const actions = () => import('./image-actions.ts')
const print = (line: string) => console.log(line)

/** Adds the commands about images. Their modules are imported when they run. */
export function addImageCommands(program: Command, logOf: () => Promise<Log>): void {
  const image = program.command('image').description('the images guests boot from')
  addDownloadOptions(image.command('pull <reference>'))
    .description('download a disk: a container disk of a registry, or a file of a web server by its URL')
    .option(...dataDirOption)
    .option('--name <name>', 'another name for the image, which nothing replaces')
    .option('--checksum <algorithm:hex>', 'checksum of what the URL leads to: sha256, sha512, sha1 or md5')
    .option('--path <path>', 'the disk’s file in the container disk, if /disk has several')
    .option('--always', 'ask the server whether the image has changed, even if it is here', false)
    .option('--auth-file <file>', 'credentials, in a config.json as docker login writes it')
    .action(async (reference: string, given: GivenPull) => {
      const { pullImage } = await actions()
      await pullImage(reference, { ...given, downloads: downloadOptionsOf(given), log: await logOf() }, print)
    })

  image
    .command('import <name> <from>')
    .description(
      'make a file (qcow2 or raw, also compressed) a disk image, or the vmlinuz and initrd.img of a folder an image for kernelBoot',
    )
    .option(...dataDirOption)
    .action(async (name: string, from: string, { dataDir }: { dataDir: string }) => {
      const { importImage } = await actions()
      await importImage(name, from, { dataDir, log: await logOf() }, print)
    })

  image
    .command('build-demo')
    .description("make the image demo-guest from Debian's kernel, busybox and qemu-guest-agent")
    .option(...dataDirOption)
    .action(async ({ dataDir }: { dataDir: string }) => {
      const { buildDemo } = await actions()
      await buildDemo({ dataDir, log: await logOf() }, print)
    })

  addKeepingCommands(image)
  addUploadCommand(image)
}

/** Adds the commands about the images that there are. */
function addKeepingCommands(image: Command): void {
  image
    .command('list')
    .description('all images of this host')
    .option(...dataDirOption)
    .action(async ({ dataDir }: { dataDir: string }) => {
      const { listImages } = await actions()
      await listImages(dataDir, print)
    })

  image
    .command('remove <name>')
    .description('remove an image, by a name of it or by its digest')
    .option(...dataDirOption)
    .option('--force', 'even while a guest has it: guests keep what they have', false)
    .action(async (name: string, { dataDir, force }: Readonly<{ dataDir: string; force: boolean }>) => {
      const { removeImage } = await actions()
      await removeImage(name, { dataDir, isForced: force }, print)
    })

  image
    .command('prune')
    .description('remove disk images that no guest has and that were not used for a while; imported ones stay')
    .option(...dataDirOption)
    .option('--older-than <time>', 'how long they were not used, such as 12h or 30d', '30d')
    .option('--all', 'all that no guest has, imported ones as well', false)
    .action(async (given: Readonly<{ dataDir: string; olderThan: string; all: boolean }>) => {
      const { pruneImages } = await actions()
      await pruneImages(given, print)
    })
}
