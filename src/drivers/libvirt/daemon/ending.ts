/** How a guest ended, in libvirt's word: `shutdown` (by itself), `destroyed`, `crashed`, `migrated`, `failed`, `saved`. */
export type Ending = Readonly<{ reason: string; at: Date }>

/**
 * How the last run of a guest ended, from the log libvirt keeps of its QEMU (`var/log/libvirt/qemu/NAME.log`), or
 * undefined while it runs. This is the only record of an end that happened while nobody was listening: libvirtd writes
 * the line when it starts again and finds the guest gone. QEMU that was killed in the meantime counts as crashed; a guest
 * that powered off waits for libvirtd and counts as shut down.
 */
export function endingOf(log: string): Ending | undefined {
  const lines = log.matchAll(/^(\d{4}-\d\d-\d\d) ([\d:.]+)\+0000: (starting up|shutting down, reason=(\w+))/gm)
  const [, day, time, , reason] = [...lines].at(-1) ?? []
  return reason === undefined ? undefined : { reason, at: new Date(`${day}T${time}Z`) }
}
