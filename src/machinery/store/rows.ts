import type { Row } from './store.ts'

/** `sorted` is made by the first list and kept in order of key from then on; a bucket that is never listed never pays for it. */
type Bucket = { readonly rows: Map<string, Row>; sorted: Row[] | undefined }

/**
 * The part of a key (or of a prefix) that says which resource it belongs to: `/<group>/<plural>/`. Empty when there are
 * fewer than three slashes: such a prefix may span resources, such a key belongs to none.
 */
export function bucketOf(text: string): string {
  const second = text.indexOf('/', 1)
  const third = second < 0 ? -1 : text.indexOf('/', second + 1)
  return third < 0 ? '' : text.slice(0, third + 1)
}

/** Rows by key, one bucket per resource, so that listing one resource never looks at the others. */
export class Rows {
  readonly #buckets = new Map<string, Bucket>()

  get(key: string): Row | undefined {
    return this.#buckets.get(bucketOf(key))?.rows.get(key)
  }

  put(row: Row): void {
    const name = bucketOf(row.key)
    const bucket = this.#buckets.get(name) ?? { rows: new Map(), sorted: undefined }
    this.#buckets.set(name, bucket)
    bucket.sorted?.splice(indexOf(bucket.sorted, row.key), bucket.rows.has(row.key) ? 1 : 0, row)
    bucket.rows.set(row.key, row)
  }

  delete(key: string): void {
    const bucket = this.#buckets.get(bucketOf(key))
    if (bucket?.rows.delete(key)) bucket.sorted?.splice(indexOf(bucket.sorted, key), 1)
  }

  /** All rows whose key starts with `prefix`, in order of key. */
  list(prefix: string): Row[] {
    const name = bucketOf(prefix)
    if (name) {
      const bucket = this.#buckets.get(name)
      return bucket ? listBucket(bucket, prefix) : []
    }
    return [...this.#buckets.values()].flatMap((bucket) => listBucket(bucket, prefix)).sort(byKey)
  }
}

function listBucket(bucket: Bucket, prefix: string): Row[] {
  bucket.sorted ??= [...bucket.rows.values()].sort(byKey)
  const from = indexOf(bucket.sorted, prefix)
  const to = firstIndex(bucket.sorted, from, ({ key }) => !key.startsWith(prefix))
  return bucket.sorted.slice(from, to)
}

/** The order of rows: by key, in UTF-16 code units, as `<` compares strings. */
export function byKey(a: Row, b: Row): number {
  return a.key < b.key ? -1 : 1
}

/** Where the row of `key` is, or would be. */
function indexOf(rows: readonly Row[], key: string): number {
  return firstIndex(rows, 0, (row) => row.key >= key)
}

/** The first index from `low` on where `holds`; once it does it must do so to the end. */
function firstIndex(rows: readonly Row[], low: number, holds: (row: Row) => boolean): number {
  let [from, to] = [low, rows.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    if (holds(rows[middle]!)) to = middle
    else from = middle + 1
  }
  return from
}
