import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** One change of the sources: in a file, what stands there once, and what is to stand behind it. */
export type Edit = Readonly<{ file: string; after: string; text: string }>

/** A copy of the product's sources, without tests, to be changed and thrown away. */
export class Copy implements AsyncDisposable {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async make(): Promise<Copy> {
    const folder = await mkdtemp(join(tmpdir(), 'pb-copy-'))
    const isOurs = (from: string) => !from.endsWith('.test.ts')
    await cp(join(root, 'src'), join(folder, 'src'), { recursive: true, filter: isOurs })
    for (const name of ['package.json', 'tsconfig.json']) await cp(join(root, name), join(folder, name))
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    return new Copy(folder)
  }

  /** Makes changes, and resolves to the files that were changed. @throws AssertionError for what does not stand there once */
  async edit(edits: readonly Edit[]): Promise<readonly string[]> {
    for (const { file, after, text } of edits) {
      const path = join(this.#folder, 'src', file)
      const parts = (await readFile(path, 'utf8')).split(after)
      assert.equal(parts.length, 2, `${JSON.stringify(after)} stands ${parts.length - 1} times in ${file}`)
      await writeFile(path, `${parts[0]}${after}${text}${parts[1]}`)
    }
    return [...new Set(edits.map(({ file }) => file))]
  }

  /** What the compiler has against it; empty when nothing. */
  async compile(): Promise<string> {
    const { status, stdout, stderr } = await this.#run(join(root, 'node_modules/.bin/tsc'), ['-p', this.#folder])
    return status === 0 ? '' : `${stdout}${stderr}` || `tsc ended with ${status}`
  }

  /** Runs a program beside the sources and reads what it prints as JSON. @throws AssertionError with what it said when it fails */
  async run(program: string): Promise<unknown> {
    await writeFile(join(this.#folder, 'program.ts'), program)
    const { status, stdout, stderr } = await this.#run(process.execPath, ['program.ts'])
    assert.equal(status, 0, stderr)
    return JSON.parse(stdout)
  }

  #run(program: string, args: readonly string[]) {
    return new Promise<Readonly<{ status: unknown; stdout: string; stderr: string }>>((resolve) => {
      execFile(program, args, { cwd: this.#folder }, (error, stdout, stderr) =>
        resolve({ status: error ? (error.code ?? error.signal) : 0, stdout, stderr }),
      )
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}
