import { readFile } from 'node:fs/promises'
import type { PluginConf } from './conflist.ts'

/** Isolation and VLAN options of newer plugins. Older plugins silently ignore unknown fields. */
const newer: Readonly<Record<string, readonly string[]>> = { bridge: ['vlanTrunk', 'portIsolation'] }

const elf = '\x7fELF'

/**
 * The fields that a plugin's configuration sets and its program does not know. A Go program contains the names of all fields
 * it reads.
 */
export async function unknownFields(plugin: PluginConf, program: string): Promise<readonly string[]> {
  const wanted = (newer[plugin.type] ?? []).filter((field) => plugin[field] !== undefined && plugin[field] !== false)
  if (!wanted.length) return []
  const code = await readFile(program)
  return code.toString('latin1', 0, elf.length) === elf ? wanted.filter((field) => !code.includes(field)) : []
}
