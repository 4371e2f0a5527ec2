/** Most objects of a namespace that is not the system's own, and most bytes of all of them. */
export type NamespaceLimits = Readonly<{ objects: number; bytes: number }>

/** High enough for normal use, and low enough that no single namespace fills a store of the usual size. */
export const defaultNamespaceLimits: NamespaceLimits = { objects: 20_000, bytes: 256 * 1024 * 1024 }
