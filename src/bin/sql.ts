import { Fault } from '#base/fault.ts'
import { table } from '#cli/table.ts'
import type { Client } from '#machinery/client/client.ts'
import { EngineTables } from '#ovirt/sql/database.ts'
import { csvOf, jsonOf, textOf } from '#ovirt/sql/format.ts'

type Options = Readonly<{ query: string | undefined; output: 'table' | 'csv' | 'json'; file: string | undefined }>

/** Fills the tables of oVirt's engine from the API, and answers a query or writes them to a file. @throws Fault Invalid */
export async function runSql(
  client: Client,
  { query, output, file }: Options,
  line: (text: string) => void,
): Promise<void> {
  if (query === undefined && file === undefined) throw new Fault('Invalid', 'Give a query, or a file with --export')
  using tables = await EngineTables.read(client)
  if (file !== undefined) tables.export(file)
  if (query === undefined) return
  const found = tables.query(query)
  if (output === 'json') line(jsonOf(found))
  else if (output === 'csv') line(csvOf(found))
  else
    for (const row of table(
      found.columns,
      found.rows.map((cells) => cells.map(textOf)),
    ))
      line(row)
}
