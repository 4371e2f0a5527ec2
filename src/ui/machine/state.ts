import { computed } from '@preact/signals'
import { machines } from '../api/cluster.ts'
import { route } from '../route.ts'

/** The machine of the address; undefined while there is none. */
export const shownMachine = computed(() => {
  const at = route.value
  return at.view === 'machine' ? machines.value.get(`${at.namespace}/${at.name}`) : undefined
})
