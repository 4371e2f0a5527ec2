import type { DataVolume } from '#apis/cdi/datavolume.ts'
import { UploadTokenRequest } from '#apis/cdi/uploadtokenrequest.ts'
import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { Kind } from '#apis/meta/object.ts'
import { explain, Fault } from '#base/fault.ts'
import { isObject } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { nodeOfClaim } from '#core/disk/claims.ts'
import type { TakeUpload } from '#core/disk/upload.ts'
import type { Informer } from '#machinery/client/informer.ts'
import type { Exchange } from '#machinery/http/exchange.ts'
import type { Door } from '#machinery/http/listener.ts'
import { callerOf } from '#machinery/rest/access/caller.ts'
import type { Review } from '#machinery/rest/access/review.ts'
import { refusal } from '#machinery/rest/json-answer.ts'
import { invalid, notFound } from '#machinery/rest/status.ts'
import type { UploadTokens } from './upload-tokens.ts'

type Options = Readonly<{
  claims: Informer<PersistentVolumeClaim>
  dataVolumes: Informer<DataVolume>
  tokens: UploadTokens
  /** What takes the uploads of a node; undefined without an agent there. */
  takerOf: (node: string) => TakeUpload | undefined
  log: Log
}>

/** CDI's paths. Both answer when the disk is made; the second one need not be waited for. */
const paths: ReadonlySet<string> = new Set(['/v1beta1/upload', '/v1beta1/upload-async'])

/** What answers with tokens for uploads. */
export function uploadTokenRequests({ claims, dataVolumes, tokens }: Options): Review {
  return {
    at: UploadTokenRequest,
    kind: UploadTokenRequest,
    isWrite: true,
    answer: (input, { user, path }) => {
      const { namespace = '' } = path
      const { pvcName: name = '' } = isObject(input.spec) ? input.spec : {}
      const field = 'spec.pvcName'
      if (typeof name !== 'string' || !name)
        throw invalid(UploadTokenRequest, '', [
          { field, message: `Required value: ${field} is the claim to upload to`, reason: 'FieldValueRequired' },
        ])
      const claim = claims.get({ namespace, name })
      if (!claim) throw notFound(PersistentVolumeClaim as unknown as Kind, name)
      if (!dataVolumes.get({ namespace, name })?.spec.source?.upload) {
        const message = `Invalid value: "${name}": it is the claim of no DataVolume with the source upload`
        throw invalid(UploadTokenRequest, '', [{ field, message, reason: 'FieldValueInvalid' }])
      }
      const grant = { namespace, name, uid: claim.metadata.uid, user: user.name }
      return { metadata: { namespace }, spec: { pvcName: name }, status: { token: tokens.issue(grant, Date.now()) } }
    },
  }
}

/** Takes uploads with a token, as CDI's upload proxy does, and passes their bytes on as they come. */
export function uploadDoor(options: Options): Door {
  return {
    matches: (path) => paths.has(path),
    serve: async (exchange) => {
      try {
        await take(options, exchange)
        await exchange.send({ code: 200, type: '', body: '' })
      } catch (error) {
        await exchange.send(refusal(error, { accept: exchange.headers.accept }))
      }
    },
  }
}

async function take({ claims, tokens, takerOf, log }: Options, exchange: Exchange): Promise<void> {
  const { method, headers } = exchange
  exchange.requireSmallHeader()
  const [, token = ''] = /^Bearer (\S+)$/i.exec(headers.authorization ?? '') ?? []
  const grant = tokens.read(token, Date.now())
  if (!grant) throw new Fault('Unauthorized', 'the token is none for an upload, or too old: ask for another one')
  // Asked by virtctl to see whether the path is there.
  if (method === 'HEAD') return
  if (method !== 'POST') throw new Fault('NotAllowed', `uploads are sent by POST, not by ${method}`)
  const { namespace, name, uid, user } = grant
  const node = nodeOfClaim(claims.get(grant) ?? { metadata: { name } })
  const taker = node === undefined ? undefined : takerOf(node)
  if (!taker) throw new Fault('Unavailable', `The node of PVC ${namespace}/${name} takes no uploads now`)
  const caller = callerOf({ name: user, groups: [] }, exchange.address)
  const claim = `${namespace}/${name}`
  log.info({ claim, user }, 'Taking an upload')
  try {
    await exchange.enter(caller, 'watches', (entered) => {
      const bytes = headers['content-length'] === undefined ? undefined : Number(headers['content-length'])
      return taker({ namespace, name, uid }, { body: entered.pieces(), ...(bytes !== undefined && { bytes }) })
    })
  } catch (error) {
    log.warn({ claim, user, cause: explain(error) }, 'An upload failed')
    throw error
  }
}
