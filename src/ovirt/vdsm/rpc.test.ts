import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Json } from '#base/json.ts'
import { protocol, RpcError, vdsm } from './errors.ts'
import { answerBody } from './rpc.ts'

const calls: string[] = []
const answer = async (body: unknown) => {
  calls.length = 0
  const text = await answerBody(typeof body === 'string' ? body : JSON.stringify(body), async (method, params) => {
    calls.push(method)
    if (method === 'refuse') throw new RpcError(vdsm.update, 'because')
    if (method === 'break') throw new TypeError('a secret of ours')
    if (method !== 'echo') throw new RpcError(protocol.method, method)
    return params
  })
  return text === undefined ? undefined : JSON.parse(text)
}
const request = (method: string, more: Readonly<Record<string, Json>> = {}) => ({
  jsonrpc: '2.0',
  id: 'a',
  method,
  ...more,
})
const error = (code: number, message: string, id: Json = null) => ({ jsonrpc: '2.0', id, error: { code, message } })

describe('bodies of JSON-RPC', () => {
  it('are a request or several, and the answer to one is bare', async () => {
    const echoed = { jsonrpc: '2.0', id: 'a', result: { b: 1 } }
    assert.deepEqual(await answer(request('echo', { params: { b: 1 } })), echoed)
    assert.deepEqual(await answer([request('echo', { params: { b: 1 } })]), echoed)
    assert.deepEqual(await answer([request('echo', { params: { b: 1 } }), request('echo', { id: 7 })]), [
      echoed,
      { jsonrpc: '2.0', id: 7, result: {} },
    ])
    assert.deepEqual(await answer(request('echo', { id: null })), { jsonrpc: '2.0', id: null, result: {} })
  })

  it('have no answer to a request without an id, which is carried out', async () => {
    const { id: _, ...told } = request('echo')
    assert.equal(await answer(told), undefined)
    assert.deepEqual(calls, ['echo'])
    assert.equal(await answer([told, { ...told, method: 'refuse' }]), undefined)
    assert.deepEqual(calls, ['echo', 'refuse'])
    assert.deepEqual(await answer([told, request('echo')]), { jsonrpc: '2.0', id: 'a', result: {} })
  })

  it('are refused by the codes of JSON-RPC and of vdsm, and a bug tells nothing', async () => {
    assert.deepEqual(await answer('{"jsonrpc"'), error(-32700, 'Invalid JSON'))
    assert.deepEqual(await answer(''), error(-32700, 'Invalid JSON'))
    assert.deepEqual(await answer('7'), error(-32600, 'Invalid request: it is no object'))
    assert.deepEqual(await answer('[]'), error(-32600, 'Invalid request: the list is empty'))
    assert.deepEqual(
      await answer(`[${'1,'.repeat(64)}1]`),
      error(-32600, 'Invalid request: there are more than 64 in one body'),
    )
    assert.deepEqual(await answer([1, request('echo')]), [
      error(-32600, 'Invalid request: it is no object'),
      { jsonrpc: '2.0', id: 'a', result: {} },
    ])
    assert.deepEqual(
      await answer({ id: 'a', method: 'echo' }),
      error(-32600, 'Invalid request: jsonrpc is not "2.0"', 'a'),
    )
    assert.deepEqual(await answer({ jsonrpc: '2.0', id: 3 }), error(-32600, 'Invalid request: method is no text', 3))
    assert.deepEqual(await answer({ jsonrpc: '2.0' }), error(-32600, 'Invalid request: method is no text'))
    assert.deepEqual(
      await answer(request('echo', { id: {} })),
      error(-32600, 'Invalid request: id is neither a text nor a number'),
    )
    const byPlace = 'Invalid parameters: params are not given by their names'
    assert.deepEqual(await answer(request('echo', { params: ['x'] })), error(-32602, byPlace, 'a'))
    assert.deepEqual(await answer(request('echo', { params: null })), error(-32602, byPlace, 'a'))
    assert.deepEqual(await answer(request('other')), error(-32601, 'Method not found: other', 'a'))
    assert.deepEqual(await answer(request('refuse')), error(56, 'Failed to update device: because', 'a'))
    assert.deepEqual(await answer(request('break')), error(-32603, 'Internal error', 'a'))
    assert.deepEqual(calls, ['break'])
  })

  it('are not nested without end', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const { error: refused } = await answer(`{"jsonrpc":"2.0","id":"a","method":"echo","params":{"a":${deep}}}`)
    assert.ok([-32600, -32700].includes(refused.code), JSON.stringify(refused))
    assert.deepEqual(calls, [])
  })
})
