import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { connect } from 'node:net'
import { explain } from '#base/fault.ts'
import { timerMs } from '#base/timer.ts'
import type { Prober, ProbeTarget } from '#core/ports.ts'
import type { Check } from '#core/vm/probe.ts'

/** Probes a guest from its host, as a kubelet probes a container. */
export const hostProber: Prober = {
  async check(check, target, timeoutMs, signal) {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timerMs(timeoutMs))])
    try {
      return await tryOnce(check, target, timeoutMs, limit)
    } catch (error) {
      if (signal.aborted) throw error
      return limit.aborted ? `no answer within ${timeoutMs / 1000} s` : explain(error)
    }
  },
}

async function tryOnce(
  check: Check,
  target: ProbeTarget,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  switch (check.type) {
    case 'agent':
      await target.hypervisor.guestAgent.ping(signal)
      return undefined
    case 'exec': {
      const code = await target.hypervisor.guestAgent.execute(check.command, timeoutMs, signal)
      return code === 0 ? undefined : `command ${check.command[0]} exited with ${code}`
    }
    default: {
      // Probes are sent by a process of the host, so they must reach no address but the guest's.
      const host = target.ip
      if (host === undefined) return 'the guest has no address on the pod network'
      return check.type === 'tcp' ? tcp(host, check.port, signal) : http(check, host, signal)
    }
  }
}

function tcp(host: string, port: number, signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port })
    const stop = () => socket.destroy(signal.reason as Error)
    signal.addEventListener('abort', stop, { once: true })
    socket.once('connect', () => {
      socket.destroy()
      resolve(undefined)
    })
    socket.once('error', reject)
    socket.once('close', () => signal.removeEventListener('abort', stop))
  })
}

function http(check: Extract<Check, { type: 'http' }>, host: string, signal: AbortSignal): Promise<string | undefined> {
  const headers = Object.fromEntries(check.headers.map(({ name, value }) => [name, value]))
  const options = { host, port: check.port, path: check.path, headers, signal, agent: false as const }
  return new Promise((resolve, reject) => {
    const answered = (response: import('node:http').IncomingMessage) => {
      const code = response.statusCode ?? 0
      response.destroy()
      resolve(code >= 200 && code < 400 ? undefined : `HTTP status ${code}`)
    }
    // Certificates are not verified, as in a kubelet.
    const request = check.isSecure
      ? requestHttps({ ...options, rejectUnauthorized: false }, answered)
      : requestHttp(options, answered)
    request.once('error', reject)
    // A guest may switch protocols, or close without an answer.
    request.once('upgrade', (_response, socket) => {
      socket.destroy()
      resolve('HTTP status 101')
    })
    request.once('close', () => reject(new Error('the guest closed the connection without an answer')))
    request.end()
  })
}
