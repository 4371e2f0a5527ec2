/** What a field holds. `[shape]` is a list of it; a field that is not listed is of no interest to the server. */
export type Type =
  | 'string'
  | 'integer'
  | 'boolean'
  | 'bytes'
  | 'map'
  | 'bytesMap'
  | 'quantityMap'
  | Shape
  | readonly ['string' | Shape]
export type Shape = Readonly<{ [number: number]: readonly [name: string, type: Type] }>

// Field numbers: generated.proto of k8s.io/apimachinery and k8s.io/api. Times are the server's business and left out.
const objectMeta: Shape = {
  1: ['name', 'string'],
  2: ['generateName', 'string'],
  3: ['namespace', 'string'],
  5: ['uid', 'string'],
  6: ['resourceVersion', 'string'],
  11: ['labels', 'map'],
  12: ['annotations', 'map'],
  14: ['finalizers', ['string']],
}

const metadata = ['metadata', objectMeta] as const

const rule: Shape = {
  1: ['verbs', ['string']],
  2: ['apiGroups', ['string']],
  3: ['resources', ['string']],
  4: ['resourceNames', ['string']],
  5: ['nonResourceURLs', ['string']],
}
const labelSelector: Shape = {
  1: ['matchLabels', 'map'],
  2: ['matchExpressions', [{ 1: ['key', 'string'], 2: ['operator', 'string'], 3: ['values', ['string']] }]],
}
const subject: Shape = {
  1: ['kind', 'string'],
  2: ['apiGroup', 'string'],
  3: ['name', 'string'],
  4: ['namespace', 'string'],
}
const binding: Shape = {
  1: metadata,
  2: ['subjects', [subject]],
  3: ['roleRef', { 1: ['apiGroup', 'string'], 2: ['kind', 'string'], 3: ['name', 'string'] }],
}
const resourceAttributes: Shape = {
  1: ['namespace', 'string'],
  2: ['verb', 'string'],
  3: ['group', 'string'],
  4: ['version', 'string'],
  5: ['resource', 'string'],
  6: ['subresource', 'string'],
  7: ['name', 'string'],
}
const access: Shape = {
  1: ['resourceAttributes', resourceAttributes],
  2: ['nonResourceAttributes', { 1: ['path', 'string'], 2: ['verb', 'string'] }],
}

/** Objects that kubectl sends as protobuf, by `apiVersion kind`. */
export const shapes: Readonly<Record<string, Shape>> = {
  'v1 Namespace': { 1: metadata, 2: ['spec', { 1: ['finalizers', ['string']] }] },
  'v1 DeleteOptions': {
    1: ['gracePeriodSeconds', 'integer'],
    2: ['preconditions', { 1: ['uid', 'string'], 2: ['resourceVersion', 'string'] }],
    4: ['propagationPolicy', 'string'],
    5: ['dryRun', ['string']],
  },
  'v1 Secret': {
    1: metadata,
    2: ['data', 'bytesMap'],
    3: ['type', 'string'],
    4: ['stringData', 'map'],
    5: ['immutable', 'boolean'],
  },
  'v1 ConfigMap': { 1: metadata, 2: ['data', 'map'], 3: ['binaryData', 'bytesMap'], 4: ['immutable', 'boolean'] },
  'v1 ResourceQuota': {
    1: metadata,
    2: [
      'spec',
      {
        1: ['hard', 'quantityMap'],
        2: ['scopes', ['string']],
        3: [
          'scopeSelector',
          {
            1: [
              'matchExpressions',
              [{ 1: ['scopeName', 'string'], 2: ['operator', 'string'], 3: ['values', ['string']] }],
            ],
          },
        ],
      },
    ],
  },
  'v1 ServiceAccount': {
    1: metadata,
    3: ['imagePullSecrets', [{ 1: ['name', 'string'] }]],
    4: ['automountServiceAccountToken', 'boolean'],
  },
  'rbac.authorization.k8s.io/v1 Role': { 1: metadata, 2: ['rules', [rule]] },
  'rbac.authorization.k8s.io/v1 ClusterRole': {
    1: metadata,
    2: ['rules', [rule]],
    3: ['aggregationRule', { 1: ['clusterRoleSelectors', [labelSelector]] }],
  },
  'rbac.authorization.k8s.io/v1 RoleBinding': binding,
  'rbac.authorization.k8s.io/v1 ClusterRoleBinding': binding,
  'authentication.k8s.io/v1 TokenRequest': {
    1: metadata,
    2: [
      'spec',
      {
        1: ['audiences', ['string']],
        3: [
          'boundObjectRef',
          { 1: ['kind', 'string'], 2: ['apiVersion', 'string'], 3: ['name', 'string'], 4: ['uid', 'string'] },
        ],
        4: ['expirationSeconds', 'integer'],
      },
    ],
  },
  'authentication.k8s.io/v1 SelfSubjectReview': { 1: metadata },
  'authorization.k8s.io/v1 SelfSubjectAccessReview': { 1: metadata, 2: ['spec', access] },
  'authorization.k8s.io/v1 SubjectAccessReview': {
    1: metadata,
    2: ['spec', { ...access, 3: ['user', 'string'], 4: ['groups', ['string']], 6: ['uid', 'string'] }],
  },
  'authorization.k8s.io/v1 SelfSubjectRulesReview': { 1: metadata, 2: ['spec', { 1: ['namespace', 'string'] }] },
}
