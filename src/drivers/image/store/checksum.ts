import { Fault } from '#base/fault.ts'

/** A checksum of what is downloaded. */
export type Checksum = Readonly<{ algorithm: string; digest: string }>

/** Length of the digest in hexadecimal, by algorithm (CDI). */
const lengths: Readonly<Record<string, number>> = { md5: 32, sha1: 40, sha256: 64, sha512: 128 }

/** Parses `ALGORITHM:HEX`. @throws Fault Invalid */
export function parseChecksum(text: string): Checksum {
  const [algorithm = '', digest = '', ...more] = text.toLowerCase().split(':')
  if (
    more.length === 0 &&
    Object.hasOwn(lengths, algorithm) &&
    digest.length === lengths[algorithm] &&
    /^[0-9a-f]+$/.test(digest)
  )
    return { algorithm, digest }
  throw new Fault('Invalid', `${JSON.stringify(text)} is no checksum; write it like sha256:HEX (or md5, sha1, sha512)`)
}
