import { Fault } from '#base/fault.ts'
import { type Target, targetOf } from './streams.ts'

/** Options of ssh and scp, as virtctl has them. */
export type SshOptions = Readonly<{
  port?: string
  username?: string
  identityFile?: string
  knownHosts?: string
  command?: string
  /** Further options of the local client, as they are. */
  localSshOpts?: readonly string[]
  recursive?: boolean
  preserve?: boolean
}>

/** How this program is run again, for a connection: the words before its command, and those that select the server. */
export type Self = Readonly<{ program: readonly string[]; choice: readonly string[] }>

/** A guest, and the user there. */
type Login = Readonly<{ target: Target; user?: string }>

/** `[USER@]KIND/NAME[/NAMESPACE]`; a name alone is an instance. @throws Fault Invalid */
export function loginOf(text: string, namespace: string): Login {
  const at = text.lastIndexOf('@')
  const where = text.slice(at + 1)
  const target = targetOf(where.includes('/') ? where : `vmi/${where}`, namespace)
  return { target, ...(at > 0 && { user: text.slice(0, at) }) }
}

/** The arguments of the local ssh. */
export function sshArguments(self: Self, { target, user }: Login, options: SshOptions): string[] {
  const { command } = options
  return [
    ...common(self, target, options),
    '--',
    hostOf({ target, user: options.username ?? user }),
    ...(command ? [command] : []),
  ]
}

/** The arguments of the local scp: one of the two places is in a guest. @throws Fault Invalid */
export function scpArguments(
  self: Self,
  [from, to]: readonly [from: string, to: string],
  namespace: string,
  options: SshOptions,
): string[] {
  const [source, destination] = [remoteOf(from, namespace), remoteOf(to, namespace)]
  const remote = source ?? destination
  if (!remote || (source && destination))
    throw new Fault('Invalid', 'One of the two files must be in a guest; write it like [USER@]vm/NAME[/NAMESPACE]:PATH')
  const place = (text: string, there: ReturnType<typeof remoteOf>) =>
    there ? `${hostOf({ ...there.login, user: options.username ?? there.login.user })}:${there.path}` : text
  return [
    ...(options.recursive ? ['-r'] : []),
    ...(options.preserve ? ['-p'] : []),
    ...common(self, remote.login.target, options),
    '--',
    place(from, source),
    place(to, destination),
  ]
}

function remoteOf(text: string, namespace: string): Readonly<{ login: Login; path: string }> | undefined {
  const [, where, path = ''] =
    /^([^:]*?(?:vm|vmi|virtualmachines?|virtualmachineinstances?)\/[^:]+):(.*)$/.exec(text) ?? []
  return where === undefined ? undefined : { login: loginOf(where, namespace), path }
}

function common({ program, choice }: Self, { kind, name, namespace }: Target, options: SshOptions): string[] {
  const { port = '22', identityFile, knownHosts, localSshOpts = [] } = options
  if (!/^\d{1,5}$/.test(port)) throw new Fault('Invalid', `--port ${port} is no port`)
  const proxy = [...program, 'port-forward', ...choice, '--stdio', `${kind}/${name}/${namespace}`, port]
  return [
    ...localSshOpts,
    '-o',
    `ProxyCommand=${proxy.map(quoted).join(' ')}`,
    ...(knownHosts ? ['-o', `UserKnownHostsFile=${knownHosts}`] : []),
    ...(identityFile ? ['-o', `IdentityFile=${identityFile}`] : []),
  ]
}

/** The name by which ssh remembers the key of a host: the guest's own, whichever address it has (virtctl). */
function hostOf({
  target: { kind, name, namespace },
  user,
}: Readonly<{ target: Target; user?: string | undefined }>): string {
  return `${user ? `${user}@` : ''}${kind}.${name}.${namespace}`
}

/** A word for the shell that runs a ProxyCommand, in which ssh itself reads `%`. */
function quoted(word: string): string {
  const text = word.replaceAll('%', '%%')
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
