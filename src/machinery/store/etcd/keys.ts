import type { KeyRange } from '../../etcd/messages.ts'

/**
 * Where things are in etcd, below a prefix such as `/patchbay`:
 *
 *     /patchbay/core/pods/a/b        the object with the key /core/pods/a/b
 *     /patchbay!last/core/pods/a/b   the last words of that object, written by the transaction that deleted it
 *     /patchbay!compacted            up to where history has been forgotten
 *     /patchbay!server/…             a server that runs, until its lease ends
 *     /patchbay!missing              never there: what reads it wants the revision of etcd
 *
 * `!` sorts before `/`, so that the range of the objects holds nothing else.
 */
export class EtcdKeys {
  readonly prefix: string
  readonly compacted: Buffer
  readonly missing: Buffer
  readonly objects: KeyRange
  readonly lastWords: KeyRange
  readonly servers: KeyRange
  readonly #last: string

  constructor(prefix: string) {
    this.prefix = prefix
    this.#last = `${prefix}!last`
    this.compacted = Buffer.from(`${prefix}!compacted`)
    this.missing = Buffer.from(`${prefix}!missing`)
    this.objects = rangeOf(`${prefix}/`)
    this.lastWords = rangeOf(`${this.#last}/`)
    this.servers = rangeOf(`${prefix}!server/`)
  }

  object(key: string): Buffer {
    return Buffer.from(this.prefix + key)
  }

  last(key: string): Buffer {
    return Buffer.from(this.#last + key)
  }

  server(name: string): Buffer {
    return Buffer.from(`${this.prefix}!server/${name}`)
  }

  /** The objects whose keys start with a prefix. */
  range(prefix: string): KeyRange {
    return prefix === '' ? this.objects : rangeOf(this.prefix + prefix)
  }

  /** What a key of etcd stands for; undefined for one of another program. */
  meaning(key: Buffer): Readonly<{ is: 'object' | 'last'; key: string }> | undefined {
    const text = key.toString('utf8')
    if (text.startsWith(`${this.#last}/`)) return { is: 'last', key: text.slice(this.#last.length) }
    if (text.startsWith(`${this.prefix}/`)) return { is: 'object', key: text.slice(this.prefix.length) }
    return undefined
  }
}

function rangeOf(prefix: string): KeyRange {
  const key = Buffer.from(prefix)
  const end = Buffer.from(prefix)
  // No key of ours ends with 0xff, which is no part of UTF-8.
  end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1)
  return { key, end }
}
