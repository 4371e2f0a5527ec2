import { readFile } from 'node:fs/promises'
import type { Stage } from '../../../tools/stage/stage.ts'
import type { Any } from '../api.ts'

/** Where everything in a storm happens. */
export const namespace = 'default'
/** Only the objects of a storm are looked at: servers make some of their own. */
export const mark = { storm: 'yes' }

/** The kinds that are written, by plural. */
export const roots = {
  configmaps: `/api/v1/namespaces/${namespace}/configmaps`,
  virtualmachines: `/apis/kubevirt.io/v1/namespaces/${namespace}/virtualmachines`,
} as const
export type Plural = keyof typeof roots
/** Where the store keeps them. */
export const prefixes: Readonly<Record<Plural, string>> = {
  configmaps: `/core/configmaps/${namespace}/`,
  virtualmachines: `/kubevirt.io/virtualmachines/${namespace}/`,
}

export const colors = ['red', 'blue'] as const

/** What a write leaves in its object: who made it, and how many came before. */
export const tokenOf = (object: Any): string => object?.metadata.annotations['storm/token']
export const countOf = (object: Any): number => Number(object?.metadata.annotations['storm/n'])
export const colorOf = (object: Any): string => object?.metadata.labels.color

/** Whether the server is meant to be there. Nothing may fail while it is. */
export class Gate {
  #opened = Promise.withResolvers<void>()
  #turns = 0

  /** Changes whenever the server goes: a failure under the same number is the server's own. */
  get turns(): number {
    return this.#turns
  }

  open(): void {
    this.#opened.resolve()
  }

  close(): void {
    this.#turns++
    this.#opened = Promise.withResolvers()
  }

  /** Resolves while the server is there. */
  wait(): Promise<void> {
    return this.#opened.promise
  }
}

/** How to reach the server of a stage as its administrator, also after it has been started anew. */
export type Address = Readonly<{ port: number; ca: string; cert: string; key: string }>

export async function addressOf(stage: Stage): Promise<Address> {
  const [ca, cert, key] = await Promise.all(
    ['ca.crt', 'admin.crt', 'admin.key'].map((name) => readFile(`${stage.dir}/pki/${name}`, 'utf8')),
  )
  return { port: 7443, ca: ca!, cert: cert!, key: key! }
}
