import { explain, Fault, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { version } from '#base/version.ts'
import { accepts } from '#machinery/http/encodings.ts'
import type { Answer, Exchange } from '#machinery/http/exchange.ts'
import type { Door } from '#machinery/http/listener.ts'
import type { Caller } from '#machinery/http/shares.ts'
import type { AuditRecord } from '#machinery/rest/access/audit.ts'
import { anonymous } from '#machinery/rest/access/authenticate.ts'
import { callerOf } from '#machinery/rest/access/caller.ts'
import { jsonAnswer, notServed, refusal } from '#machinery/rest/json-answer.ts'
import { type Coding, codings, indexName, type PageFile, type PageFiles } from './files.ts'
import { pageHeaders } from './headers.ts'
import { codePath, renewPath, type SignIn, sessionPath } from './sign-in.ts'

type Options = Readonly<{
  files: PageFiles
  /** The API, which answers `/` for all who do not want a page. */
  api: Door
  signIn: SignIn
  log: Log
}>

/** Where the files of the page are. */
const base = '/ui/'
const versionPath = '/ui-version'
/** Browsers ask for it beside any document of a server that names no icon, such as the list of paths. */
const iconPath = '/favicon.ico'
const ownPaths: ReadonlySet<string> = new Set(['/', '/ui', versionPath, iconPath])
const signInPaths: ReadonlySet<string> = new Set([codePath, sessionPath, renewPath])

/** The page: files that all clients may read. What it shows it asks of the API, as its user. */
export function pageDoor(options: Options): Door {
  const { api, log } = options
  return {
    matches: (path) => ownPaths.has(path) || path.startsWith(base),
    serve: async (exchange) => {
      if (exchange.path === '/' && !wantsPage(exchange)) return api.serve(exchange)
      const record: AuditRecord = { id: crypto.randomUUID() }
      const headers = { ...pageHeaders(exchange.headers), 'audit-id': record.id }
      const send = (answer: Answer, caller?: Caller) =>
        exchange.send({ ...answer, headers: { ...headers, ...answer.headers } }, caller)
      try {
        const answer = signInPaths.has(exchange.path)
          ? await signIn(options, exchange, record)
          : await read(options, exchange)
        await send(answer, callerOf(anonymous, exchange.address))
      } catch (error) {
        if (faultKind(error) === 'Bug')
          log.error({ path: exchange.path, cause: explain(error) }, 'Request failed by a bug')
        await send(refusal(error, { accept: exchange.headers.accept }))
      }
    },
  }
}

async function signIn({ signIn }: Options, exchange: Exchange, record: AuditRecord): Promise<Answer> {
  if (exchange.method !== 'POST') throw new Fault('NotAllowed', `a page signs in by POST, not by ${exchange.method}`)
  return { ...jsonAnswer(201, await signIn.answer(exchange, record)), headers: { 'cache-control': 'no-store' } }
}

async function read({ files }: Options, exchange: Exchange): Promise<Answer> {
  exchange.requireSmallHeader()
  requireReading(exchange)
  return exchange.enter(callerOf(anonymous, exchange.address), 'requests', () => answerTo(files, exchange))
}

/** Whether a client asks for a page by its name; one that takes anything is no browser. */
function wantsPage({ headers }: Exchange): boolean {
  return /(^|,)\s*text\/html\s*(;(?!\s*q=0(\.0*)?\s*(,|$))|,|$)/i.test(headers.accept ?? '')
}

/** @throws Fault NotAllowed */
function requireReading({ method }: Exchange): void {
  if (method !== 'GET' && method !== 'HEAD') throw new Fault('NotAllowed', `the page is read, not sent ${method}`)
}

async function answerTo(files: PageFiles, { path, headers }: Exchange): Promise<Answer> {
  if (path === iconPath) return { code: 204, type: '', headers: { 'cache-control': 'max-age=86400' }, body: '' }
  const index = await files.find(indexName)
  if (path === versionPath) {
    const answer = jsonAnswer(200, { version, build: (await index?.tag()) ?? null })
    return { ...answer, headers: { 'cache-control': 'no-store' } }
  }
  const isIndex = path === '/' || path === '/ui' || path === base
  const file = isIndex ? index : await files.find(path.slice(base.length))
  if (file) return fileAnswer(file, headers)
  if (isIndex) return notBuilt
  throw notServed()
}

/** @throws Fault NotFound for a file that was removed */
async function fileAnswer(file: PageFile, headers: Exchange['headers']): Promise<Answer> {
  const tag = await file.tag()
  if (tag === undefined) throw notServed()
  const common = {
    etag: `W/"${tag}"`,
    vary: 'Accept, Accept-Encoding',
    'cache-control': file.isForever ? 'public, max-age=31536000, immutable' : 'no-cache',
  }
  if (headers['if-none-match']?.includes(tag)) return { code: 304, type: '', headers: common, body: '' }
  const coding = codingFor(file, headers)
  const body = await file.bytes(coding)
  if (!body) throw notServed()
  const encoding = coding === 'identity' ? {} : { 'content-encoding': coding }
  return { code: 200, type: file.type, headers: { ...common, ...encoding }, body }
}

function codingFor(file: PageFile, headers: Exchange['headers']): Coding {
  const [best] = codings.find(([coding]) => file.has(coding) && accepts(headers, coding)) ?? []
  return best ?? 'identity'
}

/** What a clone says whose page was not built. */
const notBuilt: Answer = {
  code: 503,
  type: 'text/html; charset=utf-8',
  headers: { 'cache-control': 'no-store', vary: 'Accept' },
  body: `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Patchbay</title><link rel="icon" href="data:,">
<h1>Patchbay</h1>
<p>The server runs, and its page is not built. Run <code>npm run build:ui</code> in the folder of the source, then load this again.</p>
</html>
`,
}
