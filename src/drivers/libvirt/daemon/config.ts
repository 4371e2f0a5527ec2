/** The user of QEMU in a sandbox whose pod has none: Debian's libvirt-qemu. */
export const sharedQemuUid = 64_055

/** libvirt looks up this name at start, whatever its configuration. Each sandbox has its own number for it. */
const qemuUser = 'libvirt-qemu'

/** The folder of the daemon's only driver, in its mount namespace. */
export const driverDir = '/etc/libvirt/drivers'

/**
 * Number of libvirtd's threads: more than the slow calls of one Patchbay (rpc/pool.ts), so that a hanging guest agent never
 * delays a quick call.
 */
const workerThreads = 20

/** libvirtd.conf. `hostUuid` is different in each sandbox, since libvirt refuses to migrate to the same host. */
export function libvirtdConf({ hostUuid }: Readonly<{ hostUuid: string }>): string {
  return conf({
    listen_tls: 0,
    listen_tcp: 0,
    unix_sock_rw_perms: '0700',
    unix_sock_ro_perms: '0700',
    unix_sock_admin_perms: '0700',
    auth_unix_rw: 'none',
    auth_unix_ro: 'none',
    min_workers: 1,
    max_workers: workerThreads,
    prio_workers: 1,
    admin_min_workers: 1,
    admin_max_workers: 1,
    host_uuid: hostUuid,
    log_outputs: '3:file:/var/log/libvirt/libvirtd.log',
  })
}

/** qemu.conf: QEMU without privileges; Patchbay manages files, taps and namespaces. */
export function qemuConf(): string {
  return conf({
    user: qemuUser,
    group: qemuUser,
    // Emulated TPMs are the guest's, too.
    swtpm_user: qemuUser,
    swtpm_group: qemuUser,
    dynamic_ownership: 0,
    remember_owner: 0,
    security_driver: 'none',
    seccomp_sandbox: 1,
    cgroup_controllers: [],
    namespaces: [],
    stdio_handler: 'file',
  })
}

/** /etc/passwd of a sandbox whose QEMU runs as `uid`. */
export function passwdFile(uid: number): string {
  const user = `${qemuUser}:x:${uid}:${uid}::/var/lib/libvirt:/usr/sbin/nologin`
  return `root:x:0:0:root:/:/usr/sbin/nologin\n${user}\n`
}

/** /etc/group of a sandbox whose QEMU runs as `uid`. */
export function groupFile(uid: number): string {
  return `root:x:0:\n${qemuUser}:x:${uid}:\n`
}

/** libvirt's configuration syntax: numbers, quoted strings without escapes, lists. */
function conf(settings: Readonly<Record<string, number | string | readonly string[]>>): string {
  const text = (value: number | string | readonly string[]): string =>
    typeof value === 'number'
      ? String(value)
      : typeof value === 'string'
        ? `"${value}"`
        : `[${value.map(text).join(', ')}]`
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${text(value)}\n`)
    .join('')
}
