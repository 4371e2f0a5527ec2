import type { Row } from './store.ts'

/** `keys` is made by the first list and kept in order from then on; a bucket nobody lists never pays for it. */
type Bucket = { readonly rows: Map<string, Row>; keys: string[] | undefined }

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
    const bucket = this.#buckets.get(name) ?? { rows: new Map(), keys: undefined }
    this.#buckets.set(name, bucket)
    if (bucket.keys && !bucket.rows.has(row.key)) bucket.keys.splice(lowerBound(bucket.keys, row.key), 0, row.key)
    bucket.rows.set(row.key, row)
  }

  delete(key: string): void {
    const bucket = this.#buckets.get(bucketOf(key))
    if (bucket?.rows.delete(key) && bucket.keys) bucket.keys.splice(lowerBound(bucket.keys, key), 1)
  }

  /** All rows whose key starts with `prefix`, in order of key (UTF-16 code units, as `<` compares strings). */
  list(prefix: string): Row[] {
    const name = bucketOf(prefix)
    if (name) {
      const bucket = this.#buckets.get(name)
      return bucket ? listBucket(bucket, prefix) : []
    }
    const rows = [...this.#buckets.values()].flatMap((bucket) => listBucket(bucket, prefix))
    return rows.sort((a, b) => (a.key < b.key ? -1 : 1))
  }
}

function listBucket(bucket: Bucket, prefix: string): Row[] {
  bucket.keys ??= [...bucket.rows.keys()].sort()
  const rows: Row[] = []
  for (let i = lowerBound(bucket.keys, prefix); i < bucket.keys.length; i++) {
    const key = bucket.keys[i]!
    if (!key.startsWith(prefix)) break
    rows.push(bucket.rows.get(key)!)
  }
  return rows
}

/** Index of the first key that is not less than `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}
