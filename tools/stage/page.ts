/** Commands of a page that are run as one script, and what they say there that they print. */
type Step = Readonly<{ commands: string; says?: string }>

/** A page of documentation by its sections: what stands before the first of them is called by the page's own title. */
export type Page = ReadonlyMap<string, readonly Step[]>

/**
 * The commands of a page: its blocks of `sh`. A block of `text` that follows one directly is what that one prints. Sections
 * without commands are left out.
 */
export function parsePage(markdown: string): Page {
  const page = new Map<string, Step[]>()
  let title = ''
  let last: 'sh' | undefined
  for (const [all, heading, kind, body = ''] of markdown.matchAll(/^#+ (.+)$|^```(\w*)\n([\s\S]*?)^```$|^.+$/gm)) {
    if (heading !== undefined) title = heading
    const steps = page.get(title) ?? []
    if (kind === 'sh') page.set(title, [...steps, { commands: body }])
    if (kind === 'text' && last === 'sh')
      page.set(title, [...steps.slice(0, -1), { commands: steps.at(-1)!.commands, says: body }])
    last = kind === 'sh' && all ? 'sh' : undefined
  }
  return page
}

/** A pattern for what a page says is printed: `…` is anything within a line, and a line of its own any number of lines. */
export function patternOf(says: string): RegExp {
  const lines = says.trimEnd().split('\n')
  const parts = lines.map((line) =>
    line === '…' ? '(?:.*\\n)*?' : `${line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '.*')} *\\n`,
  )
  return new RegExp(`^${parts.join('')}$`)
}
