import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { extname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where the built page is: beside the source, in a clone and in a package alike. */
export const pageFolder = fileURLToPath(new URL('../../../dist/ui', import.meta.url))

/** How a file is sent. */
export type Coding = 'br' | 'gzip' | 'identity'

/** Codings of content that the build leaves beside a file, the shortest first, with the ends of their names. */
export const codings: readonly (readonly [coding: Coding, end: string])[] = [
  ['br', '.br'],
  ['gzip', '.gz'],
]

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
}

/** One file of the built page, read when it is first asked for. */
export class PageFile {
  readonly type: string
  /** The name is made of the content: under it there will never be another one. */
  readonly isForever: boolean
  readonly #paths: ReadonlyMap<Coding, string>
  readonly #read = new Map<Coding, Promise<Buffer>>()
  #tag: Promise<string> | undefined

  constructor(name: string, paths: ReadonlyMap<Coding, string>) {
    this.type = types[extname(name)] ?? 'application/octet-stream'
    this.isForever = /^assets\/.*-[\w-]{8,}\.\w+(\.map)?$/.test(name)
    this.#paths = paths
  }

  has(coding: Coding): boolean {
    return this.#paths.has(coding)
  }

  /** Its bytes in a coding that it has; undefined when the file is gone. */
  async bytes(coding: Coding): Promise<Buffer | undefined> {
    const path = this.#paths.get(coding)
    if (path === undefined) return undefined
    const reading = this.#read.get(coding) ?? readFile(path)
    this.#read.set(coding, reading)
    try {
      return await reading
    } catch {
      this.#read.delete(coding)
      return undefined
    }
  }

  /** A short name of its content; undefined when the file is gone. */
  async tag(): Promise<string | undefined> {
    const bytes = await this.bytes('identity')
    if (!bytes) return undefined
    this.#tag ??= Promise.resolve(createHash('sha256').update(bytes).digest('hex').slice(0, 32))
    return this.#tag
  }
}

/** The files of one build by their names. */
type Build = ReadonlyMap<string, PageFile>

/** The file that is the page. */
export const indexName = 'index.html'

/**
 * The files of the built page. They are listed by this server, and again when there is another build: no path is ever made of
 * what a client sends. Nothing is read before it is asked for.
 */
export class PageFiles {
  readonly #folder: string
  #stamp: string | undefined
  #build: Promise<Build> | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  /** A file of the present build; undefined without one, or without a build. */
  async find(name: string): Promise<PageFile | undefined> {
    const stamp = await stampOf(this.#folder)
    if (stamp === undefined) return undefined
    if (stamp !== this.#stamp) {
      this.#stamp = stamp
      this.#build = listed(this.#folder)
    }
    return (await this.#build)?.get(name)
  }
}

/** What changes with a build, also while it goes on and puts more files beside the page; undefined without one. */
async function stampOf(folder: string): Promise<string | undefined> {
  const index = await timeOf(join(folder, indexName))
  if (index === undefined) return undefined
  const folders = await Promise.all([timeOf(folder), timeOf(join(folder, 'assets'))])
  return [index, ...folders].join()
}

async function timeOf(path: string): Promise<string | undefined> {
  try {
    const { ino, size, mtimeMs } = await stat(path)
    return `${ino} ${size} ${mtimeMs}`
  } catch {
    return undefined
  }
}

/** Symbolic links are no files of a build, nor is what begins with a dot. A folder that is gone has none. */
async function listed(folder: string): Promise<Build> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((name) => !name.startsWith('.'))
  const all = new Set(names)
  const isVariant = (name: string) =>
    codings.some(([, end]) => name.endsWith(end) && all.has(name.slice(0, -end.length)))
  return new Map(
    names
      .filter((name) => !isVariant(name))
      .map((name) => {
        const others = codings.filter(([, end]) => all.has(name + end))
        const paths = new Map<Coding, string>([['identity', join(folder, name)]])
        for (const [coding, end] of others) paths.set(coding, join(folder, name + end))
        return [name, new PageFile(name, paths)]
      }),
  )
}
