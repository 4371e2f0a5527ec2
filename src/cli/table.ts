/** Rows below headings, each column as wide as its widest cell, three spaces between them as kubectl has it. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  // Names may come from guests: they must not contain terminal control sequences.
  const all = [headings, ...rows].map((row) => row.map((cell) => cell.replace(/\p{Cc}/gu, '?')))
  const widths = headings.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)))
  return all.map((row) =>
    widths
      .map((width, i) => (row[i] ?? '').padEnd(width))
      .join('   ')
      .trimEnd(),
  )
}
