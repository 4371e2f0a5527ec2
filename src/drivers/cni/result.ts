import { isObject, type JsonObject } from '#base/json.ts'

/** The part of a result that we use. */
export type CniResult = Readonly<{
  ips: readonly Readonly<{ address: string; gateway?: string }>[]
  routes: readonly Readonly<{ dst: string; gw?: string }>[]
  /** Names of links that are not in the container. */
  hostInterfaces: readonly string[]
  /** MAC of the first link in the container, if the plugins say it. */
  mac?: string
}>

/** Reads a result of any version of the specification: before 0.3.0 there is one address per family instead of a list. */
export function resultOf({ ips, ip4, ip6, routes, interfaces }: JsonObject): CniResult {
  const old = [ip4, ip6].filter(isObject)
  const addresses = Array.isArray(ips) ? ips : old.map(({ ip, gateway }) => ({ address: ip, gateway }))
  const links = (Array.isArray(interfaces) ? interfaces : []).filter(isObject)
  const inside = links.find(({ sandbox, mac }) => sandbox && typeof mac === 'string')
  const ways = [routes, ...old.map((one) => one.routes)].flatMap((list) => (Array.isArray(list) ? list : []))
  return {
    ips: addresses
      .filter(isObject)
      .flatMap(({ address, gateway }) =>
        typeof address === 'string' ? [{ address, ...(typeof gateway === 'string' && gateway && { gateway }) }] : [],
      ),
    routes: ways
      .filter(isObject)
      .flatMap(({ dst, gw }) =>
        typeof dst === 'string' ? [{ dst, ...(typeof gw === 'string' && gw && { gw }) }] : [],
      ),
    hostInterfaces: links.flatMap(({ name, sandbox }) => (typeof name === 'string' && !sandbox ? [name] : [])),
    ...(typeof inside?.mac === 'string' && { mac: inside.mac }),
  }
}
