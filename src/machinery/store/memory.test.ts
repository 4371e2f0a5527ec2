import { storeContract } from '#kit/machinery/store/contract.ts'
import { openMemoryStore } from '#kit/machinery/store/memory.ts'

storeContract('memory', async (tuning) => openMemoryStore(tuning))
