import { Type } from 'typebox'
import { noEffect, notCarriedOut } from '../meta/fate.ts'
import type { Of } from '../meta/schema.ts'

/** Hardware of a guest beside its disks and interfaces (facts/disks.md §A8). */

const enabled = Type.Optional(Type.Object({ enabled: Type.Optional(Type.Boolean()) }))

/** Why enlightenments are kept only. */
const noHyperv = 'guests under emulation have none'

export const featuresSchema = Type.Object({
  acpi: enabled,
  apic: Type.Optional(
    Type.Object({
      enabled: Type.Optional(Type.Boolean()),
      endOfInterrupt: Type.Optional(noEffect(Type.Boolean(), 'the hypervisor chooses it')),
    }),
  ),
  smm: enabled,
  kvm: Type.Optional(Type.Object({ hidden: Type.Optional(Type.Boolean()) })),
  pvspinlock: Type.Optional(
    noEffect(Type.Object({ enabled: Type.Optional(Type.Boolean()) }), 'the hypervisor chooses it'),
  ),
  hypervPassthrough: Type.Optional(notCarriedOut(Type.Object({ enabled: Type.Optional(Type.Boolean()) }), noHyperv)),
  hyperv: Type.Optional(
    Type.Object({
      relaxed: enabled,
      vapic: enabled,
      spinlocks: Type.Optional(
        Type.Object({ enabled: Type.Optional(Type.Boolean()), spinlocks: Type.Optional(Type.Integer()) }),
      ),
      vpindex: enabled,
      runtime: enabled,
      synic: enabled,
      synictimer: Type.Optional(Type.Object({ enabled: Type.Optional(Type.Boolean()), direct: enabled })),
      reset: enabled,
      vendorid: Type.Optional(
        Type.Object({ enabled: Type.Optional(Type.Boolean()), vendorid: Type.Optional(Type.String()) }),
      ),
      frequencies: enabled,
      reenlightenment: enabled,
      tlbflush: Type.Optional(
        Type.Object({ enabled: Type.Optional(Type.Boolean()), direct: enabled, extended: enabled }),
      ),
      ipi: enabled,
      evmcs: Type.Optional(notCarriedOut(Type.Object({ enabled: Type.Optional(Type.Boolean()) }), noHyperv)),
    }),
  ),
})
export type Features = Of<typeof featuresSchema>

const present = Type.Optional(Type.Boolean())
const tickPolicy = Type.Optional(Type.String({ description: 'What becomes of ticks that were missed.' }))

export const clockSchema = Type.Object({
  utc: Type.Optional(Type.Object({ offsetSeconds: Type.Optional(Type.Integer()) })),
  timezone: Type.Optional(
    Type.String({ description: 'The clock is at the local time of this zone, such as Europe/Berlin.' }),
  ),
  timer: Type.Optional(
    Type.Object({
      hpet: Type.Optional(Type.Object({ present, tickPolicy })),
      kvm: Type.Optional(Type.Object({ present })),
      pit: Type.Optional(Type.Object({ present, tickPolicy })),
      rtc: Type.Optional(Type.Object({ present, tickPolicy, track: Type.Optional(Type.String()) })),
      hyperv: Type.Optional(Type.Object({ present })),
    }),
  ),
})
export type Clock = Of<typeof clockSchema>

export const bootloaderSchema = Type.Object({
  bios: Type.Optional(
    Type.Object({
      useSerial: Type.Optional(Type.Boolean({ description: 'The firmware writes to the serial console.' })),
    }),
  ),
  efi: Type.Optional(
    Type.Object({
      secureBoot: Type.Optional(Type.Boolean({ description: 'True when absent; needs features.smm.' })),
      persistent: Type.Optional(
        notCarriedOut(Type.Boolean(), 'variables of the firmware last as long as the instance', [false]),
      ),
    }),
  ),
})

export const chassisSchema = Type.Object({
  manufacturer: Type.Optional(Type.String()),
  version: Type.Optional(Type.String()),
  serial: Type.Optional(Type.String()),
  asset: Type.Optional(Type.String()),
  sku: Type.Optional(Type.String()),
})

export const cpuFeaturesSchema = Type.Array(
  Type.Object({
    name: Type.String(),
    policy: Type.Optional(Type.String({ description: 'force, require (default), optional, disable or forbid.' })),
  }),
)

export const inputSchema = Type.Object({
  name: Type.String(),
  type: Type.String({ description: 'tablet, the only type.' }),
  bus: Type.Optional(Type.String({ description: 'usb (default) or virtio.' })),
})
export type Input = Of<typeof inputSchema>

export const watchdogSchema = Type.Object({
  name: Type.String(),
  i6300esb: Type.Optional(
    Type.Object({ action: Type.Optional(Type.String({ description: 'poweroff, reset (default) or shutdown.' })) }),
  ),
  diag288: Type.Optional(
    notCarriedOut(Type.Object({ action: Type.Optional(Type.String()) }), 'it is a device of s390x'),
  ),
})

export const soundSchema = Type.Object({
  name: Type.String(),
  model: Type.Optional(Type.String({ description: 'ich9 (default) or ac97.' })),
})

export const videoSchema = Type.Object({
  type: Type.Optional(Type.String({ description: 'vga, virtio, bochs, cirrus or ramfb.' })),
})

export const tpmSchema = Type.Object({
  enabled: Type.Optional(Type.Boolean()),
  persistent: Type.Optional(notCarriedOut(Type.Boolean(), 'its state lasts as long as the instance', [false])),
})

const secretSource = Type.Object({
  secret: Type.Optional(Type.Object({ secretName: Type.String() })),
})

const empty = Type.Optional(Type.Object({}))

export const accessCredentialsSchema = Type.Array(
  Type.Object({
    sshPublicKey: Type.Optional(
      Type.Object({
        source: Type.Optional(secretSource),
        propagationMethod: Type.Optional(
          Type.Object({
            configDrive: empty,
            noCloud: empty,
            qemuGuestAgent: Type.Optional(Type.Object({ users: Type.Array(Type.String()) })),
          }),
        ),
      }),
    ),
    userPassword: Type.Optional(
      Type.Object({
        source: Type.Optional(secretSource),
        propagationMethod: Type.Optional(Type.Object({ qemuGuestAgent: empty })),
      }),
    ),
  }),
)
