import type { VirtualFunction } from '#core/pci/functions.ts'

/** A VF of an emulated igb card, as the rig of docs/sriov.md has them. */
export function virtualFunction(index: number, change: Partial<VirtualFunction> = {}): VirtualFunction {
  return {
    ...{ address: `0000:01:10.${index * 2}`, vendor: '8086', device: '10ca', index },
    parent: { address: '0000:01:00.0', link: 'ens1f0' },
    group: { id: 10 + index, others: [] },
    ...change,
  }
}
