/** Most fields that are named; the others are counted. */
const maxNamed = 100
/** Longest name repeated in a path, characters. */
const maxStep = 200

/** An object or a list that is being read: the names seen in it, or how many items came before. */
type Frame = { readonly names: Set<string> | undefined; step: string; index: number }

/**
 * Fields that an object of a JSON text has twice: their paths, and how many more there are. JSON.parse says nothing of them
 * and takes the last one. The text is known to be JSON.
 */
export function duplicateFields(text: string): Readonly<{ paths: readonly string[]; more: number }> {
  const paths: string[] = []
  let more = 0
  const open: Frame[] = []
  let isName = false
  for (let at = 0; at < text.length; at++) {
    const frame = open.at(-1)
    const letter = text[at]
    if (letter === '{' || letter === '[') {
      open.push({ names: letter === '{' ? new Set() : undefined, step: '', index: 0 })
      isName = letter === '{'
    } else if (letter === '}' || letter === ']') {
      open.pop()
      isName = false
    } else if (letter === ',' && frame) {
      frame.index++
      isName = frame.names !== undefined
    } else if (letter === '"') {
      const end = endOfString(text, at)
      if (isName && frame?.names) {
        frame.step = nameOf(text.slice(at + 1, end))
        if (!frame.names.has(frame.step)) frame.names.add(frame.step)
        else if (paths.length < maxNamed) paths.push(pathOf(open))
        else more++
        isName = false
      }
      at = end
    }
  }
  return { paths, more }
}

/** What a name is that is written so between its quotes. */
function nameOf(written: string): string {
  return written.includes('\\') ? JSON.parse(`"${written}"`) : written
}

/** Where a string that begins at `from` ends. */
function endOfString(text: string, from: number): number {
  let at = from + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}

function pathOf(open: readonly Frame[]): string {
  let path = ''
  for (const { names, step, index } of open) path += names ? `${path && '.'}${step.slice(0, maxStep)}` : `[${index}]`
  return path
}
