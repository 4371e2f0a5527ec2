import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import type { ServePage } from './door.ts'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

/** What the server sends with the page: nothing but its own files may run, and nothing may frame it. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "font-src 'self'",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

/** The built page in a folder, as the server answers with it. */
export function builtPage(folder: string): ServePage {
  return (request, response) => {
    const { pathname } = new URL(request.url, 'https://page')
    const isHtml = pathname === '/' && (request.headers.accept ?? '').includes('text/html')
    if (!isHtml && !/^\/ui\/assets\/[\w.-]+$/.test(pathname)) return false
    const file = isHtml ? '/index.html' : pathname.slice('/ui'.length)
    const type = types[extname(file)] ?? 'application/octet-stream'
    response.writeHead(200, { 'content-type': type, 'content-security-policy': policy })
    response.end(readFileSync(folder + file))
    return true
  }
}
