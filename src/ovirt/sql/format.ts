import type { Cell, Found } from './database.ts'

/** What a query found as a JSON list of objects. */
export function jsonOf({ columns, rows }: Found): string {
  const plain = (value: Cell | undefined) => (typeof value === 'bigint' ? Number(value) : value)
  return JSON.stringify(
    rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, plain(row[i])]))),
    null,
    2,
  )
}

/** The same as comma separated values (RFC 4180), with the names of the columns first. */
export function csvOf({ columns, rows }: Found): string {
  const cell = (value: Cell | undefined) => {
    const text = textOf(value)
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  return [columns.map(cell), ...rows.map((row) => row.map(cell))].map((row) => row.join(',')).join('\n')
}

/** A value as text; null is nothing. */
export function textOf(value: Cell | undefined): string {
  return value === null || value === undefined ? '' : String(value)
}
