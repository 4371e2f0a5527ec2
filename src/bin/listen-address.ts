import { Fault } from '#base/fault.ts'

export type ListenAddress = Readonly<{ host: string; port: number }>

/** The address an option says: `HOST:PORT`, `[HOST]:PORT` or `:PORT`; port 0 takes any free one. @throws Fault Invalid */
export function addressOf(option: string, text: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65_535)
    throw new Fault('Invalid', `${option} ${text} is no address; write HOST:PORT, for example 127.0.0.1:6443`)
  return { host: match[1] ?? (match[2] || '127.0.0.1'), port }
}

/** The URL of a server at an address. */
export function urlOf(host: string, port: number): string {
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`
}
