import { randomBytes } from 'node:crypto'
import { eventually } from '../../src/base/wait.ts'
import { must } from '../stage/program.ts'
import type { Stage } from '../stage/stage.ts'
import { type Identity, macsOf } from '../stage/views.ts'
import { deviceOf, placed } from './networks.ts'
import type { Scene } from './story.ts'

const root = 'https://127.0.0.1:7444/ovirt-engine/api'

/** oVirt's REST API, as a script would call it by curl. */
class EngineByCurl {
  readonly #stage: Stage
  readonly #password = randomBytes(12).toString('hex')

  constructor(stage: Stage) {
    this.#stage = stage
  }

  /** Makes the user it signs in as, and fetches the certificate to trust. */
  async open(): Promise<void> {
    const { dir } = this.#stage
    const file = `${dir}/ovirt-password`
    await must('/bin/sh', ['-c', `umask 077; printf %s '${this.#password}' > '${file}'`])
    const create = ['user', 'create', 'scripts', '--group', 'system:masters', '--password-file', file]
    const { code, stderr } = await this.#stage.patchbay(...create)
    if (code !== 0) throw new Error(`patchbay user create: ${stderr}`)
    await must('curl', ['-sSk', '-o', `${dir}/ovirt-ca.pem`, 'https://127.0.0.1:7444/ca.crt'])
  }

  /** The text of an answer, which must be a good one. */
  async call(method: string, path: string, body?: string): Promise<string> {
    const { dir } = this.#stage
    const sent = body === undefined ? [] : ['-H', 'Content-Type: application/xml', '--data-binary', body]
    const login = ['-u', `scripts@internal:${this.#password}`, '--cacert', `${dir}/ovirt-ca.pem`]
    return must('curl', ['-sS', '--fail-with-body', '-X', method, ...login, ...sent, `${root}/${path}`])
  }

  /** The id of the first `element` in a list whose name is as given. */
  async idOf(path: string, element: string, name: string): Promise<string> {
    const text = await this.call('GET', path)
    const found = text.split(`<${element} `).find((part) => part.includes(`<name>${name}</name>`))
    const id = /^[^>]*\bid="([0-9a-f-]+)"/.exec(found ?? '')?.[1]
    if (!id) throw new Error(`oVirt's API shows no ${element} ${name} at ${path}`)
    return id
  }
}

/** The same card through oVirt's API: its link is cut, then it is put back on red with its link, by two calls of curl. */
export async function throughOvirt({ stage, teller }: Scene, identity: Identity): Promise<void> {
  const engine = new EngineByCurl(stage)
  await engine.open()
  const vm = await engine.idOf('vms?search=name%3Dx', 'vm', 'x')
  const nic = `vms/${vm}/nics/${await engine.idOf(`vms/${vm}/nics`, 'nic', 'lan')}`
  const red = await engine.idOf('vnicprofiles', 'vnic_profile', 'red')

  let start = performance.now()
  await engine.call('PUT', nic, '<nic><linked>false</linked></nic>')
  const answered = performance.now() - start
  await teller.compare(stage, "oVirt's API: curl -X PUT …/nics/LAN -d '<nic><linked>false</linked></nic>'", {
    asked: { default: 'up', blue: 'down', lan: 'down' },
    start,
    more: { answered },
  })
  start = performance.now()
  await engine.call('PUT', nic, `<nic><linked>true</linked><vnic_profile id="${red}"/></nic>`)
  const { views, ms } = await placed(stage, 'lan', 'red', start)
  teller.tell("oVirt's API: linked again, by the profile of red", { lan: 'red' }, views, ms)
  await teller.unchanged(stage, 'in place', identity)
  await mirrored({ stage, teller }, identity)
}

/** Frames that y calls into the network green, where nobody answers. */
const calls = 10

/** The card on red gets a copy of everything that is said on green, and then no more; the guest keeps it. */
async function mirrored({ stage, teller }: Scene, identity: Identity): Promise<void> {
  const mac = (await macsOf(stage, 'x')).get('lan') ?? ''
  const device = await deviceOf(stage, 'x', mac)
  await stage.guest('x', `ip link set ${device} promisc on`)
  const before = await heard(stage, device)
  const start = performance.now()
  await stage.p('mirror', 'x', 'lan', '--from', 'green')
  const during = await eventually('x hears green', async () => {
    const frames = await heard(stage, device)
    return frames >= calls && frames
  })
  const ms = { guest: performance.now() - start }
  await stage.p('mirror', 'x', 'lan', '--off')
  const after = await eventually('x hears green no more', async () => {
    const frames = await heard(stage, device)
    return frames < calls && { frames }
  })
  const views = {
    before: `${before} frames of ${calls} calls of y on green`,
    during: `${during}`,
    after: `${after.frames}`,
  }
  teller.tell('patchbay mirror x lan --from green, and --off', { lan: 'a copy of green' }, views, ms)
  await teller.unchanged(stage, 'without a new card', identity)
}

/** How many frames a card of x gets while y asks for addresses on green that are not there. */
async function heard(stage: Stage, device: string): Promise<number> {
  const count = async () => Number(await stage.guest('x', `cat /sys/class/net/${device}/statistics/rx_packets`))
  const mac = (await macsOf(stage, 'y')).get('green') ?? ''
  const over = await deviceOf(stage, 'y', mac)
  const start = await count()
  // Each question who has an address is a frame for all.
  const asks = `for i in $(seq ${calls}); do ping -c 1 -W 1 -I ${over} 192.168.82.$((200 + i)) >/dev/null & done; wait`
  await stage.guest('y', asks)
  return (await count()) - start
}
