import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { Fault } from '#base/fault.ts'
import { HttpClient } from '#drivers/image/fetch/http-client.ts'
import { DiskImageStore } from '#drivers/image/store/disk-image-store.ts'
import type { DataDir } from './data-dir.ts'
import type { DownloadOptions } from './image-options.ts'

/** How long a server may send nothing during a download, milliseconds. */
const stallMs = 30_000

/** The disk images of a data directory. @throws Fault Invalid for a file of certificates that cannot be read */
export async function diskImagesOf(
  { images }: Pick<DataDir, 'images'>,
  { mirrors, caFile, proxy, isLocalAllowed }: DownloadOptions = { mirrors: new Map(), isLocalAllowed: false },
): Promise<DiskImageStore> {
  const trustedHosts = new Set([...mirrors.values()].map(({ host }) => host))
  const ca = caFile === undefined ? undefined : await certificatesIn(caFile)
  const http = new HttpClient({
    ...{ isLocalAllowed, trustedHosts, stallMs },
    ...(ca !== undefined && { ca }),
    ...(proxy && { proxy }),
  })
  return new DiskImageStore({ root: images, http, mirrors })
}

async function certificatesIn(file: string): Promise<string> {
  try {
    const ca = await readFile(file, 'utf8')
    if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error('It has no certificate in it')
    createSecureContext({ ca })
    return ca
  } catch (cause) {
    throw new Fault('Invalid', `--image-ca ${file} cannot be read as certificates (PEM)`, { cause })
  }
}
