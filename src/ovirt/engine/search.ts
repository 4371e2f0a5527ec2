import { EngineFault } from '../wire/faults.ts'

/**
 * The values of a field of an item, as texts; undefined for a field that items of this kind do not have. `of` is the name of
 * another kind (`vm`, `cluster`) for a field of what the item belongs to, lower case and singular.
 */
export type Fields<T> = (item: T, field: string, of: string | undefined) => readonly string[] | undefined

/** How a list is narrowed (facts/ovirt-clients.md §5). */
export type Searched = Readonly<{ search?: string | undefined; max?: number | undefined; isCaseSensitive: boolean }>

type Relation = '=' | '!=' | '<' | '>' | '<=' | '>='
type Condition = Readonly<{ of?: string; field?: string; relation: Relation; value: string }>
/** Alternatives of conditions that must all hold: `and` binds tighter than `or`. */
type Query = Readonly<{
  alternatives: readonly (readonly Condition[])[]
  sort?: Readonly<{ field: string; isDescending: boolean }>
  page: number
}>

/** Fields that free text is looked for in. */
const freeText = ['name', 'description', 'comment'] as const
/** Items on a page of a search that says no `max`. */
const pageSize = 100

/** The items that a search selects, in its order, at most `max` of them. @throws EngineFault 400 for a search that is wrong */
export function searched<T>(
  items: readonly T[],
  { search, max, isCaseSensitive }: Searched,
  fields: Fields<T>,
): readonly T[] {
  if (!search?.trim()) return max === undefined ? items : items.slice(0, max)
  const query = parse(search)
  const matches = (item: T, one: Condition) => isMatch(one, valuesOf(item, one, fields), isCaseSensitive)
  for (const one of query.alternatives.flat()) requireField(one, items[0], fields)
  const found = items.filter(
    (item) => !query.alternatives.length || query.alternatives.some((all) => all.every((one) => matches(item, one))),
  )
  const { sort, page } = query
  const sorted = sort
    ? found.toSorted((a, b) => compare(first(a, sort.field, fields), first(b, sort.field, fields)))
    : found
  const ordered = sort?.isDescending ? sorted.toReversed() : sorted
  const size = max ?? (page > 1 ? pageSize : ordered.length)
  return ordered.slice((page - 1) * size, page * size)
}

function requireField<T>({ of, field }: Condition, item: T | undefined, fields: Fields<T>): void {
  if (item !== undefined && field !== undefined && !fields(item, field, of)) throw invalid('INVALID_CONDITION_FILED')
}

function valuesOf<T>(item: T, { of, field }: Condition, fields: Fields<T>): readonly string[] {
  if (field !== undefined) return fields(item, field, of) ?? []
  return freeText.flatMap((one) => fields(item, one, undefined) ?? [])
}

function isMatch({ field, relation, value }: Condition, found: readonly string[], isCaseSensitive: boolean): boolean {
  const wanted = field === undefined ? `*${value}*` : value
  const equals = pattern(wanted, isCaseSensitive)
  if (relation === '!=') return !found.some((one) => equals.test(one))
  if (relation === '=') return found.some((one) => equals.test(one))
  return found.some((one) => {
    const order = compare(one, value)
    return relation.startsWith('<')
      ? order < 0 || (order === 0 && relation === '<=')
      : order > 0 || (order === 0 && relation === '>=')
  })
}

/** `*` is the only wildcard. */
function pattern(value: string, isCaseSensitive: boolean): RegExp {
  const text = value
    .split(/\*+/)
    .map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*')
  return new RegExp(`^${text}$`, isCaseSensitive ? 's' : 'is')
}

function first<T>(item: T, field: string, fields: Fields<T>): string {
  const values = fields(item, field, undefined)
  if (!values) throw invalid('INVALID_SORT_FIELD')
  return values[0] ?? ''
}

/** Numbers by value, everything else by its letters. */
function compare(a: string, b: string): number {
  const isNumber = a !== '' && b !== '' && Number.isFinite(Number(a)) && Number.isFinite(Number(b))
  return isNumber ? Number(a) - Number(b) : a.localeCompare(b)
}

type Token = Readonly<{ text: string; kind: 'word' | 'quoted' | 'relation' }>

function tokens(search: string): Token[] {
  const found: Token[] = []
  let at = 0
  for (const match of search.matchAll(/\s*(?:"([^"]*)"|(!=|<=|>=|=|<|>)|([^\s"=<>!]+))\s*/gy)) {
    const [whole, quoted, relation, word] = match
    at += whole.length
    if (quoted !== undefined) found.push({ text: quoted, kind: 'quoted' })
    else if (relation !== undefined) found.push({ text: relation, kind: 'relation' })
    else found.push({ text: word ?? '', kind: 'word' })
  }
  if (at < search.length) throw invalid('INVALID_PART')
  return found
}

function parse(search: string): Query {
  const rest = tokens(search)
  const isWord = (word: string) => rest[0]?.kind === 'word' && rest[0].text.toLowerCase() === word
  const next = () => rest.shift()
  const alternatives: Condition[][] = []
  while (rest.length && !isWord('sortby') && !isWord('page')) {
    const isOr = isWord('or')
    if (isOr || isWord('and')) next()
    const one = condition(rest)
    if (isOr || !alternatives.length) alternatives.push([one])
    else alternatives.at(-1)?.push(one)
  }
  let sort: Query['sort']
  if (isWord('sortby')) {
    next()
    const field = next()
    if (!field) throw invalid('INVALID_SORT_FIELD')
    const isDescending = isWord('desc')
    if (isDescending || isWord('asc')) next()
    sort = { field: field.text.toLowerCase(), isDescending }
  }
  let page = 1
  if (isWord('page')) {
    next()
    page = Number(next()?.text)
  }
  if (rest.length || !(Number.isInteger(page) && page > 0)) throw invalid('INVALID_PART')
  return { alternatives, ...(sort && { sort }), page }
}

/** Takes a condition from the front of `rest`: `FIELD = VALUE`, `OBJECT.FIELD = VALUE`, or free text. */
function condition(rest: Token[]): Condition {
  const subject = rest.shift()
  if (!subject || subject.kind === 'relation') throw invalid('INVALID_PART')
  if (rest[0]?.kind !== 'relation') return { relation: '=', value: subject.text }
  const relation = rest.shift()?.text as Relation
  const value = rest.shift()
  if (!value || value.kind === 'relation') throw invalid('INVALID_VALUE')
  const [field = '', of] = subject.text.toLowerCase().split('.', 2).toReversed()
  return { field, ...(of !== undefined && { of: of.replace(/s$/, '') }), relation, value: value.text }
}

function invalid(detail: string): EngineFault {
  return new EngineFault(400, 'Operation Failed', `[${detail}]`)
}
