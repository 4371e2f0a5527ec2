import { DataSource } from '#apis/cdi/datasource.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
import type { MayRead } from './data-volumes.ts'
import { refusedErrors } from './refused.ts'

/**
 * All errors of a DataSource. Who may get it may copy what it names, so its writer has to have the right to get that.
 */
export function dataSourceErrors(one: DataSource, old: DataSource | undefined, mayRead: MayRead): FieldError[] {
  if (old && sameJson(old.spec, one.spec)) return []
  const { pvc, dataSource } = one.spec.source
  const { namespace: own = 'default' } = one.metadata
  const named = [
    { kind: 'PersistentVolumeClaim', field: 'spec.source.pvc', source: pvc },
    { kind: 'DataSource', field: 'spec.source.dataSource', source: dataSource },
  ] as const
  return [
    ...(Object.keys(one.spec.source).length > 1 ? [invalidValue('spec.source', 'Multiple DataSource sources')] : []),
    ...named.flatMap(({ kind, field, source }): FieldError[] => {
      if (!source) return []
      const { namespace = own, name } = source
      if (!name) return [invalidValue(`${field}.name`, `${field}.name must not be empty`)]
      if (mayRead(kind, namespace, name)) return []
      const message = `User has insufficient permissions in namespace ${namespace}: to offer ${kind} ${name} needs the right to get it`
      return [{ field, message, reason: 'FieldValueForbidden' }]
    }),
    ...refusedErrors(DataSource, one.spec),
  ]
}
