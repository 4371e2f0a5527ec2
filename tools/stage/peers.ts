import { randomBytes } from 'node:crypto'
import { must, program } from './program.ts'

/** The machines that a test puts beside its guests: nobody filters them, and nothing of Patchbay runs there. */
export class Peers {
  readonly #tag = randomBytes(2).toString('hex')
  readonly #namespaces: string[] = []
  readonly #bridges: string[] = []

  /** Puts a machine with an address on a bridge, which is made where there is none. Resolves to its network namespace. */
  async add(bridge: string, address: string): Promise<string> {
    const namespace = `peer${this.#namespaces.length}-${this.#tag}`
    this.#namespaces.push(namespace)
    const port = `p-${namespace}`
    const isThere = (await program('ip', ['link', 'show', bridge])).code === 0
    if (!isThere) this.#bridges.push(bridge)
    for (const command of [
      ...(isThere ? [] : [`link add ${bridge} type bridge`]),
      `link set ${bridge} up`,
      `netns add ${namespace}`,
      `link add ${port} type veth peer name eth0 netns ${namespace}`,
      `link set ${port} master ${bridge} up`,
      `-n ${namespace} addr add ${address}/24 dev eth0`,
      `-n ${namespace} link set eth0 up`,
    ])
      await must('ip', command.split(' '))
    return namespace
  }

  /** Removes the machines and the bridges that were made for them. Nobody else may be on those any more. */
  async remove(): Promise<void> {
    for (const namespace of this.#namespaces.splice(0)) await program('ip', ['netns', 'delete', namespace])
    for (const bridge of this.#bridges.splice(0)) await program('ip', ['link', 'delete', bridge])
  }
}
