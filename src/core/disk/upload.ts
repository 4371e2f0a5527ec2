/** A claim that the bytes of a disk image are for; it is the one of that name only if its UID is this. */
export type UploadKey = Readonly<{ namespace: string; name: string; uid: string }>

/** A disk image on its way to a claim. */
export type Upload = Readonly<{
  /** Ends with an error when the client breaks off. */
  body: AsyncIterable<Uint8Array>
  /** How much it is, as far as the client says. */
  bytes?: number
}>

/**
 * Takes a disk image for a claim of this host, and resolves when it is on the disk. Nothing is left of one that fails. Faults: NotFound,
 * Conflict while another one is under way or the DataVolume is not ready for it, Invalid for what is no disk or does not fit.
 */
export type TakeUpload = (key: UploadKey, upload: Upload) => Promise<void>
