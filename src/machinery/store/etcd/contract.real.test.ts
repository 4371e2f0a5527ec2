import { after, before } from 'node:test'
import { startEtcd, type TestEtcd } from '#kit/machinery/etcd/etcd.ts'
import { storeContract } from '#kit/machinery/store/contract.ts'
import { RelativeStore } from '#kit/machinery/store/relative.ts'
import { openEtcdStore } from './etcd.ts'

let etcd: TestEtcd
before(async () => {
  etcd = await startEtcd()
})
after(() => etcd?.stop())

let stores = 0
storeContract(
  'etcd, one member',
  async (tuning) => {
    const { endpoints } = etcd
    return new RelativeStore(await openEtcdStore({ ...tuning, endpoints, prefix: `/contract-${++stores}` }))
  },
  { hasGaps: true, isAlone: false },
)
