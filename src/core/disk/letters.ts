/** a, b, … z, aa, ab, …: how libvirt and Linux count disks. */
export function lettersOf(index: number): string {
  const rest = index >= 26 ? lettersOf(Math.floor(index / 26) - 1) : ''
  return `${rest}${String.fromCharCode(97 + (index % 26))}`
}
