import { Type } from 'typebox'
import type { Kind } from '../meta/object.ts'
import { loose, objectSchema } from '../meta/schema.ts'

/** A kind that clients list to find out what a cluster offers. There are none here, and none can be made. */
function absent(
  group: string,
  kind: string,
  singular: string,
  shortNames: readonly string[],
  columns: Kind['columns'],
): Kind {
  return {
    group,
    version: 'v1',
    kind,
    plural: singular.endsWith('s') ? singular : `${singular}s`,
    singular,
    shortNames,
    categories: [],
    namespaced: true,
    status: false,
    verbs: ['get', 'list', 'watch'],
    columns,
    schema: objectSchema({ spec: Type.Optional(loose()) }, 'Served for clients that list them; there are none.'),
  }
}

const age = { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' } as const

/** `kubectl cluster-info` looks for the services of the cluster itself. */
export const Service = absent(
  '',
  'Service',
  'service',
  ['svc'],
  [
    { name: 'Type', type: 'string', path: 'spec.type' },
    { name: 'Cluster-IP', type: 'string', path: 'spec.clusterIP' },
    age,
  ],
)

export const Endpoints = absent('', 'Endpoints', 'endpoints', ['ep'], [age])

/** `kubectl drain` evicts only where the group of evictions is served. */
export const PodDisruptionBudget = absent('policy', 'PodDisruptionBudget', 'poddisruptionbudget', ['pdb'], [age])
