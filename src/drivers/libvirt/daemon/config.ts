/** What QEMU runs as in a sandbox whose pod names no user: Debian's number for libvirt-qemu. */
export const sharedQemuUid = 64_055

/** libvirt looks this name up when it starts, whatever its configuration says. In each sandbox it is another number. */
const qemuUser = 'libvirt-qemu'

/** Where the daemon finds its one driver, inside its mount namespace. */
export const driverDir = '/etc/libvirt/drivers'

/**
 * Threads for calls that wait. More than the slow calls one Patchbay has in flight (rpc/pool.ts), so that a guest whose
 * agent hangs never keeps a quick call waiting.
 */
const workerThreads = 20

/** libvirtd.conf. `hostUuid` differs between sandboxes: libvirt refuses to migrate "to the same host". */
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

/** qemu.conf: QEMU without privileges; files, taps and namespaces are Patchbay's business. */
export function qemuConf(): string {
  return conf({
    user: qemuUser,
    group: qemuUser,
    dynamic_ownership: 0,
    remember_owner: 0,
    security_driver: 'none',
    seccomp_sandbox: 1,
    cgroup_controllers: [],
    namespaces: [],
    stdio_handler: 'file',
  })
}

/** /etc/passwd of a sandbox whose QEMU is to run as `uid`. */
export function passwdFile(uid: number): string {
  const user = `${qemuUser}:x:${uid}:${uid}::/var/lib/libvirt:/usr/sbin/nologin`
  return `root:x:0:0:root:/:/usr/sbin/nologin\n${user}\n`
}

/** /etc/group of such a sandbox. */
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
