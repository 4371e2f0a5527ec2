import type { Command } from 'commander'
import { Fault } from '#base/fault.ts'
import type { Choice } from '#cli/kubeconfig.ts'
import { asClient, withClient } from './client-kit.ts'
import { secondsOf } from './options.ts'

type UploadFlags = Choice &
  Readonly<{
    imagePath: string
    size?: string
    storageClass?: string
    accessMode?: string
    volumeMode?: string
    uploadproxyUrl?: string
    create: boolean
    insecure: boolean
    waitSecs: string
  }>

/** Adds the command that makes a DataVolume of a file, with the flags of `virtctl image-upload`. */
export function addUploadCommand(image: Command): void {
  asClient(image.command('upload'))
    .argument('<kind>', 'dv')
    .argument('<name>', 'name of the DataVolume')
    .description('make a DataVolume of a file of this computer: qcow2 or raw, also compressed')
    .requiredOption('--image-path <file>', 'the file')
    .option('--size <size>', 'size of the disk, such as 10Gi; needed for a DataVolume that is not there yet')
    .option('--storage-class <class>', 'class of its claim')
    .option('--access-mode <mode>', 'access mode of its claim, such as ReadWriteOnce')
    .option('--volume-mode <mode>', 'filesystem, the only one')
    .option('--uploadproxy-url <url>', 'another address of the API server to send the file to')
    .option('--no-create', 'do not make the DataVolume')
    .option('--insecure', 'do not check the certificate of that address', false)
    .option(
      '--wait-secs <seconds>',
      'how long to wait for the DataVolume to be ready, and to succeed afterwards',
      '300',
    )
    .action((kind: string, name: string, flags: UploadFlags) => upload(kind, name, flags))
}

async function upload(kind: string, name: string, flags: UploadFlags): Promise<void> {
  if (kind !== 'dv') throw new Fault('Invalid', `${kind} is no kind to upload to; write dv NAME`)
  const { imagePath, size, storageClass, accessMode, volumeMode, uploadproxyUrl, insecure } = flags
  const [{ uploadImage }, { findTarget }, { sendFile }, { hearInterrupts }, { Progress }] = await Promise.all([
    import('#cli/image-upload.ts'),
    import('#cli/kubeconfig.ts'),
    import('#machinery/client-node/send-file.ts'),
    import('./interrupts.ts'),
    import('./progress.ts'),
  ])
  const { endpoint } = await findTarget(flags)
  const to = {
    ...endpoint,
    ...(uploadproxyUrl !== undefined && { server: uploadproxyUrl }),
    ...(insecure && { insecureSkipTlsVerify: true }),
  }
  const options = {
    ...{ imagePath, noCreate: !flags.create, waitMs: secondsOf('--wait-secs', flags.waitSecs) },
    ...(size !== undefined && { size }),
    ...(storageClass !== undefined && { storageClass }),
    ...(accessMode !== undefined && { accessMode }),
    ...(volumeMode !== undefined && { volumeMode }),
  }
  const progress = new Progress(process.stderr)
  await withClient(flags, (context) =>
    uploadImage(
      context,
      name,
      options,
      (path, how) =>
        sendFile(to, { path, ...how, onProgress: (sent) => progress.show(sent, how.bytes) }).finally(() =>
          progress.end(),
        ),
      hearInterrupts().signal,
    ),
  )
}
