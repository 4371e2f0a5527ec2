import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  LocalSubjectAccessReview,
  SelfSubjectAccessReview,
  SelfSubjectReview,
  SelfSubjectRulesReview,
  SubjectAccessReview,
  TokenRequest,
  TokenReview,
} from '#apis/auth/reviews.ts'
import { ServiceAccount } from '#apis/core/serviceaccount.ts'
import type { Kind } from '#apis/meta/object.ts'
import { explain, Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { RotatingFile } from '#base/rotating-file.ts'
import { absentKinds } from '#controllers/absent-kinds.ts'
import { absentSubresources } from '#controllers/absent-subresources.ts'
import { evictions } from '#controllers/eviction.ts'
import { expandSpecAction } from '#controllers/expand-spec.ts'
import { type ChannelContext, guestChannels, screenshotAction } from '#controllers/guest-channels.ts'
import { podLog } from '#controllers/pod-log.ts'
import { type TrafficContext, trafficAction } from '#controllers/traffic.ts'
import { vmActions } from '#controllers/vm-actions.ts'
import { readConsoleLog } from '#drivers/host/console-log.ts'
import { AuditLog } from '#machinery/rest/access/audit-log.ts'
import type { TokenReader } from '#machinery/rest/access/authenticate.ts'
import type { Guard } from '#machinery/rest/access/guard.ts'
import { reviews } from '#machinery/rest/access/reviews.ts'
import { staticTokens } from '#machinery/rest/access/static-tokens.ts'
import { tokenRequests } from '#machinery/rest/access/token-request.ts'
import type { ServiceAccountTokens } from '#machinery/rest/access/tokens.ts'
import type { Api } from '#server/api.ts'
import { uploadTokenRequests } from '#server/uploads.ts'
import type { DataDir } from './data-dir.ts'

/** Largest size of one audit log file, and the number of files. */
export type AuditLimits = Readonly<{ maxBytes: number; files: number }>

type Options = Readonly<{
  api: Api
  dir: DataDir
  /** The streams into the guests of a node. */
  streamsOf: ChannelContext['streamsOf']
  /** The counters of the guests of a node. */
  trafficOf: TrafficContext['trafficOf']
  uploading: Parameters<typeof uploadTokenRequests>[0]
  tokens: ServiceAccountTokens
  /** Those of pages. */
  pageTokens: TokenReader
  tokenAuthFile?: string
  audit: AuditLimits
  /** Longest life of a ServiceAccount's token, seconds. */
  maxTokenSeconds: number
  log: Log
}>

/** Refusals of one user per minute that get an audit line each; further ones are summed up. */
const refusalsPerMinute = 60
const flushMs = 60_000

const reviewKinds = {
  selfAccess: SelfSubjectAccessReview,
  access: SubjectAccessReview,
  localAccess: LocalSubjectAccessReview,
  selfRules: SelfSubjectRulesReview,
  self: SelfSubjectReview,
  token: TokenReview,
}

/** Builds authentication, authorization and the audit log; certificates are verified by the listener. */
export async function makeGuard(options: Options): Promise<{ guard: Guard; close(): Promise<void> }> {
  const { api, dir, tokens, streamsOf, log } = options
  const channels = { client: api.clients.own, vmis: api.objects.vmis, streamsOf }
  const accounts = ServiceAccount as unknown as Kind
  const file = new RotatingFile({
    path: dir.audit,
    ...options.audit,
    onTrouble: (error, lostLines) => log.error({ cause: explain(error), lostLines }, 'Cannot write the audit log'),
  })
  const audit = new AuditLog({ keep: (line) => file.write(line), maxRefusals: refusalsPerMinute, now: Date.now })
  const flushing = setInterval(() => audit.flush(), flushMs)
  flushing.unref()
  const readers = [tokens, options.pageTokens, ...(await fixedTokens(options.tokenAuthFile))]
  const guard = {
    access: api.access,
    tokens: readers,
    reviews: [
      ...reviews(api.access, reviewKinds, readers),
      uploadTokenRequests(options.uploading),
      evictions({ client: api.clients.own, scheduler: api.scheduler, kubevirts: api.objects.kubevirts }),
      tokenRequests({ accounts, kind: TokenRequest, tokens, maxExpirationSeconds: options.maxTokenSeconds }),
    ],
    actions: [
      ...vmActions({ client: api.clients.own, clientAs: (user) => api.clientAs(user), vmis: api.objects.vmis }),
      expandSpecAction({ client: api.clients.own, types: api.objects.types.find }),
      podLog({ client: api.clients.own, consoleOf: (uid) => readConsoleLog(join(dir.pods, uid)) }),
      screenshotAction(channels),
      trafficAction({ client: api.clients.own, trafficOf: options.trafficOf }),
    ],
    channels: guestChannels(channels),
    absent: [...absentSubresources, ...absentKinds],
    audit,
  }
  const close = () => {
    clearInterval(flushing)
    audit.flush()
    return file.close()
  }
  return { guard, close }
}

/** @throws Fault Invalid for a file that cannot be read */
async function fixedTokens(path: string | undefined): Promise<TokenReader[]> {
  if (path === undefined) return []
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new Fault('Invalid', `Cannot read --token-auth-file ${path}`, { cause })
  }
  return [staticTokens(text)]
}
