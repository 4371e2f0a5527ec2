import { Type } from 'typebox'
import type { Kind } from '../meta/object.ts'
import { objectSchema } from '../meta/schema.ts'

/** Asks for a token to upload the disk of a claim with. It is answered and never stored. */
export const UploadTokenRequest: Kind = {
  group: 'upload.cdi.kubevirt.io',
  version: 'v1beta1',
  kind: 'UploadTokenRequest',
  plural: 'uploadtokenrequests',
  singular: 'uploadtokenrequest',
  shortNames: ['utr', 'utrs'],
  categories: [],
  namespaced: true,
  status: false,
  verbs: ['create'],
  columns: [],
  schema: objectSchema(
    {
      spec: Type.Object({ pvcName: Type.String({ description: 'The claim of a DataVolume with the source upload.' }) }),
      status: Type.Optional(Type.Object({ token: Type.Optional(Type.String()) })),
    },
    'Asks for a token to upload the disk of a claim with.',
  ),
}
