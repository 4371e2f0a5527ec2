import type { Credential, ImagePull } from '../ports.ts'
import type { Upload } from './upload.ts'

/** What users have said about access to the server of an image. It is shown to that server and to none that it redirects to. */
export type DownloadAccess = Readonly<{
  login?: Credential
  /** By names in lower case. */
  headers?: Readonly<Record<string, string>>
  /** Certificates (PEM) of authorities that are trusted besides the usual ones. */
  ca?: string
  /** Whose it is: what was got with it is found only by pulls of the same scope. */
  scope: string
}>

/** A disk image to get, with what URLs have besides. */
export type DiskPull = ImagePull &
  Readonly<{
    /** Of the bytes that the URL leads to, `ALGORITHM:HEX`. */
    checksum?: string
    access?: DownloadAccess
  }>

/** What is to be on the disk of a claim at first. */
export type VolumeContent = Readonly<
  | { is: 'blank' }
  | { is: 'image'; pull: DiskPull }
  /** What a client sends. */
  | { is: 'upload'; upload: Upload }
  /** A copy of the disk of another claim, by its UID; that one is empty and has this size if it was never used. */
  | { is: 'clone'; from: string; fromBytes: number }
>

/** The disks of claims on this host, by UID of the claim. Every method is idempotent and repeatable after a crash at any point. */
export interface Volumes {
  /** Whether the disk exists; it is whole then. */
  has(uid: string): Promise<boolean>
  /**
   * Makes a disk of so many bytes, unless it exists. `onProgress` is called now and then with the part that is done, 0 to 1. Faults:
   * Invalid when the content does not fit or is not usable; others may work later.
   */
  populate(
    uid: string,
    bytes: number,
    content: VolumeContent,
    how: Readonly<{ onProgress: (part: number) => void; signal: AbortSignal }>,
  ): Promise<void>
  /** Removes what an upload has left that was interrupted when its agent ended. */
  discard(uid: string): Promise<void>
  /** The UIDs of all claims of which anything is here. */
  list(): Promise<readonly string[]>
  /** Removes the disk, and what populating it has left. */
  remove(uid: string): Promise<void>
}
