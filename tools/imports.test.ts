import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { type TestContext, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isObject, type Json, type JsonObject } from '#base/json.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

test('Node resolves imports across rooms without being told how', async () => {
  const script =
    "import { planNics } from '#core/nic/plan.ts'; console.log(import.meta.resolve('#base/fault.ts'), typeof planNics)"
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: root,
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const out = (await child.stdout.setEncoding('utf8').toArray()).join('').trim()
  assert.equal(out, `${pathToFileURL(`${root}src/base/fault.ts`)} function`)
})

test('an editor goes from an import across rooms to its file', async (t) => {
  const server = languageServer(t)
  await server.ask('initialize', { processId: null, rootUri: null, capabilities: {} })
  server.tell('initialized', {})
  const uri = String(pathToFileURL(`${root}src/controllers/page.ts`))
  const text = "import { planNics } from '#core/nic/plan.ts'\n"
  server.tell('textDocument/didOpen', { textDocument: { uri, languageId: 'typescript', version: 1, text } })
  const position = { line: 0, character: text.indexOf('nic/plan') }
  const [place] = (await server.ask('textDocument/definition', { textDocument: { uri }, position })) as Json[]
  assert.ok(isObject(place))
  assert.equal(place.uri, String(pathToFileURL(`${root}src/core/nic/plan.ts`)))
})

/** TypeScript's language server, as editors start it, for the time of a test. */
function languageServer(t: TestContext) {
  const tsc = createRequire(import.meta.url)
    .resolve('typescript/package.json')
    .replace('package.json', 'bin/tsc')
  const child = spawn(process.execPath, [tsc, '--lsp', '--stdio'], { stdio: ['pipe', 'pipe', 'ignore'], cwd: '/' })
  t.after(() => child.kill())
  const waiting = new Map<number, (result: Json) => void>()
  let rest = Buffer.alloc(0)
  child.stdout.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    for (;;) {
      const head = /^Content-Length: (\d+)\r\n(?:.+\r\n)*\r\n/.exec(rest.toString('latin1'))
      const end = head ? head[0].length + Number(head[1]) : Number.POSITIVE_INFINITY
      if (!head || rest.length < end) return
      const message = JSON.parse(rest.subarray(head[0].length, end).toString()) as JsonObject
      rest = rest.subarray(end)
      // It asks for settings as well, and has its own without an answer's.
      if (message.method !== undefined && message.id !== undefined) send({ id: message.id, result: null })
      else if (message.id !== undefined) waiting.get(Number(message.id))?.(message.result ?? null)
    }
  })
  const send = (message: JsonObject) => {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message })
    child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  }
  return {
    tell: (method: string, params: JsonObject) => send({ method, params }),
    ask: (method: string, params: JsonObject) =>
      new Promise<Json>((resolve) => {
        const id = waiting.size + 1
        waiting.set(id, resolve)
        send({ id, method, params })
      }),
  }
}
