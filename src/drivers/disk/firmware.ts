import { copyFile } from 'node:fs/promises'
import { Fault } from '#base/fault.ts'
import { exists } from '#base/file.ts'
import type { Firmware } from '#core/vm/hardware.ts'

/** Code and variables of UEFI firmware on the host. */
type FirmwarePair = Readonly<{ code: string; variables: string }>

/** Where distributions have them: Debian, then Fedora. */
const plain: readonly FirmwarePair[] = [
  { code: '/usr/share/OVMF/OVMF_CODE_4M.fd', variables: '/usr/share/OVMF/OVMF_VARS_4M.fd' },
  { code: '/usr/share/edk2/ovmf/OVMF_CODE.fd', variables: '/usr/share/edk2/ovmf/OVMF_VARS.fd' },
]
const secure: readonly FirmwarePair[] = [
  { code: '/usr/share/OVMF/OVMF_CODE_4M.ms.fd', variables: '/usr/share/OVMF/OVMF_VARS_4M.ms.fd' },
  { code: '/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd', variables: '/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd' },
]

/**
 * Copies the variables of a guest's firmware to `file`; returns the path of its code, which is the same in every sandbox.
 * @throws Fault Invalid that names the package when the host has no such firmware
 */
export async function makeFirmware(firmware: Extract<Firmware, { is: 'efi' }>, file: string): Promise<string> {
  for (const { code, variables } of firmware.isSecure ? secure : plain) {
    if (!(await exists(code)) || !(await exists(variables))) continue
    await copyFile(variables, file)
    return code
  }
  const what = firmware.isSecure ? 'UEFI firmware with secure boot' : 'UEFI firmware'
  throw new Fault('Invalid', `This node has no ${what}: install the package ovmf`)
}

/** Programs that a guest with a TPM needs. */
const tpmPrograms = ['/usr/bin/swtpm', '/usr/bin/swtpm_setup']

/** @throws Fault Invalid that names the packages when the host cannot emulate a TPM */
export async function requireTpm(): Promise<void> {
  for (const program of tpmPrograms)
    if (!(await exists(program)))
      throw new Fault('Invalid', 'This node cannot emulate a TPM: install the packages swtpm and swtpm-tools')
}
