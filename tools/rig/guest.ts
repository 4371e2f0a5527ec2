import { homedir } from 'node:os'
import { silent } from '../../src/base/log.ts'
import { buildDemoGuest } from '../../src/drivers/image/demo-guest.ts'
import { wantedModules } from '../../src/drivers/image/modules.ts'

/** The demo guest with a kernel that has the driver of virtual functions; the kernel of clouds has not. */
const kernel = { package: 'linux-image-amd64', modules: [...wantedModules, 'igbvf'] }

/** Builds the guest of the rig, if it is not there; resolves to its folder, which the rig sees under the same name. */
export async function buildRigGuest(): Promise<string> {
  const folder = `${process.env.XDG_CACHE_HOME ?? `${homedir()}/.cache`}/patchbay/rig/guest`
  await buildDemoGuest(folder, silent, { kernel })
  return folder
}
