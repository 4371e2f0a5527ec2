/** Rows below headings, each column as wide as its widest cell, three spaces between them as kubectl has it. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [headings, ...rows]
  const widths = headings.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)))
  return all.map((row) =>
    widths
      .map((width, i) => (row[i] ?? '').padEnd(width))
      .join('   ')
      .trimEnd(),
  )
}
