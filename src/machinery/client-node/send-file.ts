import { createReadStream } from 'node:fs'
import { request } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { Fault } from '#base/fault.ts'
import { isObject, parsedJson } from '#base/json.ts'
import { faultOfStatus } from '../client/faults.ts'
import type { Endpoint } from './https.ts'

type Sending = Readonly<{
  path: string
  token: string
  file: string
  bytes: number
  onProgress: (sent: number) => void
  signal: AbortSignal
}>

/** Longest answer that is read, bytes. */
const maxAnswer = 64 * 1024

/** Posts a file as it is on the disk, without holding it in memory. @throws Fault of the server's answer, Unavailable, Aborted */
export async function sendFile(
  { server, ca, serverName, insecureSkipTlsVerify }: Endpoint,
  { path, token, file, bytes, onProgress, signal }: Sending,
): Promise<void> {
  const sending = request(new URL(path, server), {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/octet-stream',
      'content-length': bytes,
    },
    ...(ca && { ca }),
    ...(serverName && { servername: serverName }),
    rejectUnauthorized: !insecureSkipTlsVerify,
    agent: false,
    signal,
  })
  const answered = new Promise<Readonly<{ code: number; text: string }>>((resolve, reject) => {
    sending.once('error', reject)
    sending.once('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text = (text + chunk).slice(0, maxAnswer)
      })
      response.once('end', () => resolve({ code: response.statusCode ?? 0, text }))
      response.once('error', reject)
    })
  })
  let sent = 0
  const body = createReadStream(file, { end: Math.max(0, bytes - 1) })
  body.on('data', (chunk) => {
    sent += chunk.length
    onProgress(sent)
  })
  // A refusal may come before everything is sent; it says more than the broken pipe.
  const piped = pipeline(body, sending).catch(() => undefined)
  const { code, text } = await answered.catch((cause: unknown) => {
    if (signal.aborted) throw new Fault('Aborted', 'The upload was given up', { cause: signal.reason })
    throw new Fault('Unavailable', `The upload to ${server} broke off`, { cause })
  })
  body.destroy()
  await piped
  if (code >= 200 && code < 300) return
  const status = parsedJson(text)
  throw faultOfStatus(isObject(status) ? status : { code, message: text })
}
