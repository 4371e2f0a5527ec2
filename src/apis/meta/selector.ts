/** A requirement on a label, as in Kubernetes' LabelSelector. */
export type Requirement = Readonly<{
  key: string
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
  values: ReadonlySet<string>
}>

/** Whether labels fulfil all requirements. */
export function isSelected(requirements: readonly Requirement[], labels: Readonly<Record<string, unknown>>): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined
    const isThere = value !== undefined
    if (operator === 'Exists' || operator === 'DoesNotExist') return isThere === (operator === 'Exists')
    return (isThere && values.has(String(value))) === (operator === 'In')
  })
}
