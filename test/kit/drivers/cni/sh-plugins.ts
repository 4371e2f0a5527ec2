import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cni } from '#drivers/cni/cni.ts'

export const result = '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.0.2/24","gateway":"10.1.0.1"}]}'
export const where = { containerId: 'pod-1', netns: '/run/netns/none', ifName: 'net1' }
export const signal = new AbortController().signal

/** A folder of plugins written in sh; each call is a line of `calls`, its input a file `TYPE.COMMAND`. */
export async function bench(scripts: Readonly<Record<string, string>>) {
  const dir = await mkdtemp(join(tmpdir(), 'pb-cni-'))
  const write = async (name: string, body: string) => {
    const head = `#!/bin/sh\ncat > ${dir}/${name}.$CNI_COMMAND\necho ${name} $CNI_COMMAND $CNI_IFNAME >> ${dir}/calls\n`
    await writeFile(join(dir, name), head + body.replaceAll('DIR', dir))
    await chmod(join(dir, name), 0o755)
  }
  for (const [name, body] of Object.entries(scripts)) await write(name, body)
  const cache = join(dir, 'cache')
  const open = (timeoutMs = 5000) =>
    new Cni({ cacheDir: cache, ipamDir: join(dir, 'ipam'), pluginDirs: [dir], timeoutMs })
  const calls = async () => (await readFile(join(dir, 'calls'), 'utf8')).trim().split('\n')
  const input = async (name: string, command: string) =>
    JSON.parse(await readFile(join(dir, `${name}.${command}`), 'utf8'))
  return { dir, cache, open, calls, input, write, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) }
}

export const conflist = (...types: string[]) => ({
  cniVersion: '0.4.0',
  name: 'blue',
  plugins: types.map((type) => ({ type, ipam: { type: 'host-local' } })),
})
export const succeed = `[ $CNI_COMMAND = ADD ] && echo '${result}'\nexit 0\n`
export const fail = `[ $CNI_COMMAND = DEL ] && exit 0\necho '{"code":11,"msg":"no bridge","details":"try later"}'\nexit 1\n`
