/**
 * An amount as Kubernetes writes it (`500m`, `1Gi`, `2`), in thousandths, rounded up. `form` is its notation: by powers of 1024,
 * by powers of 1000, or with an exponent.
 */
export type Quantity = Readonly<{ milli: bigint; form: 'binary' | 'decimal' | 'exponent' }>

const binarySuffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']
const decimalSuffixes = ['m', '', 'k', 'M', 'G', 'T', 'P', 'E']
/** Decimal suffixes below thousandths, by their power of ten. */
const tiny: Readonly<Record<string, number>> = { n: -9, u: -6 }

const pattern = /^([+-]?)(\d{0,20})(?:\.(\d{0,20}))?(?:([eE][+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i)?)$/

/** Parses a quantity, which may be a text or a number; undefined for any other value. */
export function parseQuantity(value: unknown): Quantity | undefined {
  if (typeof value !== 'string' && typeof value !== 'number') return undefined
  const [, sign, whole = '', fraction = '', exponent, suffix = ''] = pattern.exec(String(value)) ?? []
  if (sign === undefined || !(whole + fraction)) return undefined
  const digits = BigInt(whole + fraction) * (sign === '-' ? -1n : 1n)
  const binary = suffix.endsWith('i') ? binarySuffixes.indexOf(suffix) : 0
  const power = exponent ? Number(exponent.slice(1)) : (tiny[suffix] ?? decimalPower(suffix))
  const form = binary ? 'binary' : exponent ? 'exponent' : 'decimal'
  return { milli: scaled(digits * 1024n ** BigInt(binary), power + 3 - fraction.length), form }
}

function decimalPower(suffix: string): number {
  const index = decimalSuffixes.indexOf(suffix)
  return index < 0 ? 0 : 3 * (index - 1)
}

/** `value` times a power of ten, rounded away from zero. */
function scaled(value: bigint, power: number): bigint {
  if (power >= 0) return value * 10n ** BigInt(power)
  const divisor = 10n ** BigInt(-power)
  const rest = value % divisor
  return value / divisor + (rest > 0n ? 1n : rest < 0n ? -1n : 0n)
}

/** A quantity in Kubernetes' canonical form: with the largest suffix that leaves a whole number. */
export function quantityText({ milli, form }: Quantity): string {
  if (form === 'binary' && milli % 1000n === 0n && (milli >= 1_024_000n || milli <= -1_024_000n))
    return reduced(milli / 1000n, 1024n, binarySuffixes)
  if (form !== 'exponent') return reduced(milli, 1000n, decimalSuffixes)
  const powers = decimalSuffixes.map((_, i) => (i === 1 ? '' : `e${3 * (i - 1)}`))
  return reduced(milli, 1000n, powers)
}

function reduced(value: bigint, by: bigint, suffixes: readonly string[]): string {
  if (value === 0n) return '0'
  let [rest, at] = [value, 0]
  while (at < suffixes.length - 1 && rest % by === 0n) [rest, at] = [rest / by, at + 1]
  return `${rest}${suffixes[at]}`
}
