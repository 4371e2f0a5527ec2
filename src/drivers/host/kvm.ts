import { spawn } from 'node:child_process'
import { access, constants, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Fault } from '#base/fault.ts'
import { readTextIfAny, writeFileAtomic } from '#base/file.ts'
import type { Log } from '#base/log.ts'
import { run } from './run.ts'

/** How guests run: on the processor with KVM, or with QEMU's emulation. */
export type Accelerator = 'kvm' | 'tcg'

/** What an operator chooses: one of them, or what a probe finds to work. */
export type AcceleratorChoice = Accelerator | 'auto'

/** The machine and processor of Patchbay's guests, which the probe must use too. */
const machine = ['-M', 'q35', '-cpu', 'max']

/**
 * A boot sector that exercises what hangs on hosts with a broken /dev/kvm: real mode, paging, long mode, a loop of a million
 * steps; then it writes 0x2a to port 0xf4. Its source:
 *
 *     .code16; cli; zero ax, ds, es, ss; sp = 0x7c00
 *     page tables at 0x1000: clear 3 pages, [0x1000] = 0x2003, [0x2000] = 0x3003, [0x3000] = 0x83 (2 MiB identity)
 *     cr4 |= PAE; EFER |= LME; cr0 |= PG|PE; lgdt; ljmp 8:long
 *     .code64; long: ecx = 1000000; loop: dec ecx; jnz loop; al = 0x2a; out al, 0xf4; hlt
 */
const bootSector = [
  'fa31c08ed88ec08ed0bc007c66bf001000000f22df6631c066b9000c000066f3ab66c70600100320000066c706002003',
  '30000066c7060030830000000f20e06683c8200f22e066b9800000c00f32660d000100000f300f20c0660d010000800f',
  '22c00f0116907cea6c7c0800b940420f00ffc975fcb02ae6f4f4ebfd0f1f4000000000000000000000000000009a2000',
  '0f00807c000000000000000000000000',
].join('')

/** isa-debug-exit makes QEMU end with (0x2a << 1) | 1. */
const passed = 85

/** Time limit of the probe with KVM: a multiple of the time with emulation, between two bounds; milliseconds. */
const limits = { leastMs: 1500, mostMs: 4000, times: 8 }

/** What an operator chose; undefined when it is to be probed. @throws Fault Invalid for KVM on a host that has none */
export async function chosenAccelerator(
  choice: AcceleratorChoice,
  device = '/dev/kvm',
): Promise<Accelerator | undefined> {
  if (choice === 'auto') return undefined
  if (choice === 'kvm' && !(await canOpen(device)))
    throw new Fault('Invalid', `--accelerator kvm: there is no ${device} that can be opened; load kvm_intel or kvm_amd`)
  return choice
}

function canOpen(device: string): Promise<boolean> {
  return access(device, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  )
}

/**
 * Measures whether KVM runs guests on this host. The verdict is kept in `file` as long as kernel and QEMU stay the same.
 * `device` is KVM's. @throws Fault Unavailable when QEMU cannot be run
 */
export async function probeAccelerator(
  qemu: string,
  file: string,
  log: Log,
  device = '/dev/kvm',
): Promise<Accelerator> {
  const [version = ''] = (await run(qemu, ['--version'])).split('\n')
  const subject = `${release()} ${version}`
  const known = verdictIn(await readTextIfAny(file))
  if (known?.subject === subject) return known.accelerator
  const { accelerator, why } = await probe(qemu, device)
  log.info({ accelerator, why, kernel: release(), qemu: version }, 'Probed how guests can run')
  await writeFileAtomic(file, JSON.stringify({ subject, accelerator, why }))
  return accelerator
}

/** The stored verdict; undefined when there is none or it cannot be read, since it can be measured again. */
function verdictIn(text: string | undefined): Readonly<{ subject: unknown; accelerator: Accelerator }> | undefined {
  try {
    const { subject, accelerator } = JSON.parse(text ?? '{}')
    return accelerator === 'kvm' || accelerator === 'tcg' ? { subject, accelerator } : undefined
  } catch {
    return undefined
  }
}

async function probe(qemu: string, device: string): Promise<{ accelerator: Accelerator; why: string }> {
  if (!(await canOpen(device))) return { accelerator: 'tcg', why: `there is no ${device} that can be opened` }
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-kvm-'))
  try {
    const disk = join(folder, 'disk')
    await writeFile(disk, floppy())
    const start = performance.now()
    const emulated = await boots(qemu, 'tcg', disk, limits.mostMs * 2)
    const scaledMs = Math.min(limits.mostMs, Math.max(limits.leastMs, limits.times * (performance.now() - start)))
    // Inside an emulated machine, emulation is too slow for the probe, and KVM may work all the same.
    const limitMs = emulated ? scaledMs : limits.mostMs * 2
    if (await boots(qemu, 'kvm', disk, limitMs)) return { accelerator: 'kvm', why: 'the probe ran' }
    const why = `${device} opens, but the probe did not end within ${Math.round(limitMs)} ms`
    return { accelerator: 'tcg', why: emulated ? why : `${why}, nor under emulation` }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function boots(qemu: string, accelerator: Accelerator, disk: string, limitMs: number): Promise<boolean> {
  const quiet = [
    '-m',
    '32',
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
    '-monitor',
    'none',
    '-serial',
    'none',
    '-no-reboot',
  ]
  const devices = [
    '-device',
    'isa-debug-exit,iobase=0xf4,iosize=1',
    '-drive',
    `file=${disk},format=raw,if=floppy,snapshot=on`,
  ]
  return new Promise((resolve) => {
    // timeout(1) ends QEMU even if this process ends before.
    const limit = ['-s', 'KILL', `${(limitMs / 1000).toFixed(3)}s`]
    const child = spawn('timeout', [...limit, qemu, '-accel', accelerator, ...machine, ...quiet, ...devices], {
      stdio: 'ignore',
    })
    child.on('error', () => resolve(false))
    child.on('close', (code) => resolve(code === passed))
  })
}

/** The boot sector on a floppy disk, from which the firmware of q35 boots. */
function floppy(): Buffer {
  const disk = Buffer.alloc(1440 * 1024)
  disk.write(bootSector, 'hex')
  disk.writeUInt16LE(0xaa55, 510)
  return disk
}
