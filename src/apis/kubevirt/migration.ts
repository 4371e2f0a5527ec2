import { Type } from 'typebox'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { loose, type Of, objectSchema, stringMap } from '../meta/schema.ts'

const migrationSpecSchema = Type.Object({
  vmiName: Type.Optional(Type.String({ description: 'Name of the instance to migrate.' })),
  addedNodeSelector: Type.Optional(stringMap),
  priority: Type.Optional(Type.String()),
})

/** A request to move a running instance. */
export type VirtualMachineInstanceMigration = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec: Of<typeof migrationSpecSchema>
  status?: Readonly<Record<string, unknown>>
}>

export const VirtualMachineInstanceMigration: Kind<VirtualMachineInstanceMigration> = {
  group: 'kubevirt.io',
  version: 'v1',
  kind: 'VirtualMachineInstanceMigration',
  plural: 'virtualmachineinstancemigrations',
  singular: 'virtualmachineinstancemigration',
  shortNames: ['vmim', 'vmims'],
  categories: ['all'],
  namespaced: true,
  status: true,
  columns: [
    { name: 'Phase', type: 'string', path: 'status.phase' },
    { name: 'VMI', type: 'string', path: 'spec.vmiName' },
  ],
  schema: objectSchema(
    { spec: migrationSpecSchema, status: Type.Optional(loose()) },
    'A request to move a running instance.',
  ),
}
