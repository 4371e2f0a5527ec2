/** The line of a field in a YAML text in block style, counted from 1; that of its nearest parent when it has none. */
export function lineOf(text: string, field: string): number {
  const wanted = field.split(/[.[\]"]+/).filter(Boolean)
  let best = { line: 1, depth: 0 }
  for (const { path, line } of places(text)) {
    const depth = path.length
    const isOnWay = depth <= wanted.length && path.every((part, index) => part === wanted[index])
    if (isOnWay && depth > best.depth) best = { line, depth }
  }
  return best.line
}

type Level = { indent: number; part: string }

/** Every key and item of a text with its path. */
function* places(text: string): Iterable<Readonly<{ path: readonly string[]; line: number }>> {
  const stack: Level[] = []
  const pathOf = () => stack.map(({ part }) => part)
  for (const [index, source] of text.split('\n').entries()) {
    let indent = source.length - source.trimStart().length
    let rest = source.trim()
    while (rest === '-' || rest.startsWith('- ')) {
      const before = stack.findLast((one) => one.indent === indent && /^\d+$/.test(one.part))
      while ((stack.at(-1)?.indent ?? -1) > indent) stack.pop()
      if (before && stack.at(-1) === before) stack.pop()
      // A list may be as far in as the key that it belongs to, and its items count from 0.
      stack.push({ indent, part: before ? String(Number(before.part) + 1) : '0' })
      yield { path: pathOf(), line: index + 1 }
      const inner = rest.slice(1)
      indent += 1 + inner.length - inner.trimStart().length
      rest = inner.trim()
    }
    const key = /^("?)([^"#:\s][^":]*)\1:(\s|$)/.exec(rest)?.[2]
    if (key === undefined) continue
    while ((stack.at(-1)?.indent ?? -1) >= indent) stack.pop()
    stack.push({ indent, part: key })
    yield { path: pathOf(), line: index + 1 }
  }
}
