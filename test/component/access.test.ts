import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { createUser } from '#bin/user.ts'
import { vmsPath } from './api.ts'
import { type Cluster, type Ground, makeGround, startOn } from './cluster.ts'
import { Kubectl, kubectlLacks, noKubectl } from './kubectl.ts'
import { makeNamespace, nad, vm } from './manifests.ts'

describe('kubectl of somebody who is no administrator', { skip: noKubectl }, () => {
  let ground: Ground
  let cluster: Cluster
  let root: Kubectl
  before(async () => {
    ground = await makeGround()
    const tokenAuthFile = join(ground.dir.root, 'tokens.csv')
    await writeFile(tokenAuthFile, 'sesame,ali,40,"cave,thieves"\n')
    cluster = await startOn(ground, { tokenAuthFile })
    root = new Kubectl(cluster.dir, 'default')
  })
  after(async () => {
    await cluster?.stop()
    await ground?.remove()
  })

  /** Kubectl of a user with a certificate of their own. */
  async function as(name: string, ns: string, ...groups: string[]): Promise<Kubectl> {
    const kubeconfig = await createUser({ dataDir: cluster.dir.root, name, groups })
    return new Kubectl({ ...cluster.dir, kubeconfig }, ns)
  }
  /** Kubectl of whoever a token belongs to. */
  async function bearing(token: string, ns: string): Promise<Kubectl> {
    const kubeconfig = join(cluster.dir.root, 'bearer.kubeconfig')
    const user = { name: 'x', user: { token } }
    const admin = await root.ok('config view --raw -o json')
    const config = { ...JSON.parse(admin), users: [user] }
    config.contexts[0].context.user = 'x'
    await writeFile(kubeconfig, JSON.stringify(config))
    return new Kubectl({ ...cluster.dir, kubeconfig }, ns)
  }
  /** Gives a role in a namespace; resolves once the server goes by it. */
  async function bind(k: Kubectl, ns: string, role: string, subject: string): Promise<void> {
    await root.ok(`-n ${ns} create rolebinding ${role}-${subject.split('=')[1]?.replaceAll(':', '-')}`, {
      more: [`--clusterrole=${role}`, `--${subject}`],
    })
    await eventually(`${role} in ${ns}`, async () => (await k.run(['auth', 'can-i', 'get', 'vm'])).code === 0)
  }
  const down = ['--type=merge', '-p', '{"metadata":{"labels":{"by":"me"}}}']

  it('does not let who may only patch create by applying', async () => {
    const ns = await makeNamespace(cluster.api)
    await root.ok(`-n ${ns} create role patcher --verb=get,patch --resource=configmaps`)
    const pat = await as('pat', ns)
    await root.ok(`-n ${ns} create rolebinding patcher --role=patcher --user=pat`)
    await eventually('pat may patch', async () => (await pat.run(['auth', 'can-i', 'patch', 'cm'])).code === 0)
    const input = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data: { a: '1' } }
    assert.match(
      await pat.fails('apply --server-side -f -', { input }),
      /User "pat" cannot create resource "configmaps" in API group "" in the namespace/,
    )
    await root.ok(`-n ${ns} apply --server-side -f -`, { input })
    await pat.ok('apply --server-side --force-conflicts -f -', { input: { ...input, data: { a: '2' } } })
  })

  it('lets an editor of a namespace change VMs there, and nothing elsewhere', async () => {
    const ns = await makeNamespace(cluster.api)
    const other = await makeNamespace(cluster.api)
    await cluster.api.create(vmsPath(ns), vm('a', [], { runStrategy: 'Halted' }))
    const jane = await as('jane', ns)
    assert.equal(
      await jane.fails('get vm'),
      `Error from server (Forbidden): virtualmachines.kubevirt.io is forbidden: User "jane" cannot list resource "virtualmachines" in API group "kubevirt.io" in the namespace "${ns}"\n`,
    )
    await bind(jane, ns, 'edit', 'user=jane')
    assert.match(await jane.ok('patch vm a', { more: down }), /virtualmachine.kubevirt.io\/a patched/)
    await jane.ok('create configmap one', { more: ['--from-literal=a=b'] })
    await jane.ok('create secret generic one', { more: ['--from-literal=a=b'] })
    assert.equal(await jane.ok('get secret one -o', { more: ['jsonpath={.data.a} {.type}'] }), 'Yg== Opaque')
    assert.equal(
      await jane.fails(`-n ${other} create -f -`, { input: nad('red') }),
      `Error from server (Forbidden): error when creating "STDIN": network-attachment-definitions.k8s.cni.cncf.io is forbidden: User "jane" cannot create resource "network-attachment-definitions" in API group "k8s.cni.cncf.io" in the namespace "${other}"\n`,
    )
    assert.match(
      await jane.fails('get vm -A'),
      /User "jane" cannot list resource "virtualmachines" in API group "kubevirt.io" at the cluster scope$/m,
    )
  })

  it('lets a viewer look and not touch, nor see secrets', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(vmsPath(ns), vm('a', [], { runStrategy: 'Halted' }))
    const bob = await as('bob', ns, 'readers')
    await bind(bob, ns, 'view', 'group=readers')
    assert.match(await bob.ok('get vm a'), /^a +/m)
    assert.equal(
      await bob.fails('patch vm a', { more: down }),
      `Error from server (Forbidden): virtualmachines.kubevirt.io "a" is forbidden: User "bob" cannot patch resource "virtualmachines" in API group "kubevirt.io" in the namespace "${ns}"\n`,
    )
    assert.match(await bob.fails('get secret'), /cannot list resource "secrets" in API group ""/)
  })

  it('tells what one may', async () => {
    const ns = await makeNamespace(cluster.api)
    const eve = await as('eve', ns, 'cats', 'dogs')
    await bind(eve, ns, 'view', 'user=eve')
    assert.equal(await eve.ok('auth can-i list vm'), 'yes\n')
    const { code, out } = await eve.run(['auth', 'can-i', 'delete', 'vm'])
    assert.deepEqual([code, out], [1, 'no\n'])
    assert.equal(await root.ok('auth can-i * *'), 'yes\n')
    const list = await eve.ok('auth can-i --list')
    assert.match(list, /^virtualmachines.kubevirt.io +\[\] +\[\] +\[get list watch\]$/m)
    assert.match(list, /^ +\[\/api\/\*\] +\[\] +\[get\]$/m)
    assert.equal(await root.ok(`-n ${ns} auth can-i list vm --as eve`), 'yes\n')
    assert.match(
      await eve.fails('get vm --as root'),
      /"root" is forbidden: User "eve" cannot impersonate resource "users"/,
    )
  })

  it('lets nobody grant what they do not have', async () => {
    const ns = await makeNamespace(cluster.api)
    const ann = await as('ann', ns)
    await bind(ann, ns, 'admin', 'user=ann')
    await ann.ok('create role reader --verb=get --resource=pods')
    await ann.ok('create rolebinding reads --role=reader --user=joe')
    assert.equal(
      await ann.fails(
        'create role more --verb=create --verb=get --resource=network-attachment-definitions.k8s.cni.cncf.io',
      ),
      `Error from server (Forbidden): roles.rbac.authorization.k8s.io "more" is forbidden: user "ann" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:["k8s.cni.cncf.io"], Resources:["network-attachment-definitions"], Verbs:["create"]}\n`,
    )
    assert.match(
      await ann.fails('create rolebinding mine --clusterrole=cluster-admin --user=ann'),
      /"mine" is forbidden: user "ann" .* not currently held:\n\{APIGroups:\["\*"\], Resources:\["\*"\], Verbs:\["\*"\]\}/,
    )
    assert.match(
      await ann.fails('create clusterrolebinding mine --clusterrole=view --user=ann'),
      /cannot create resource "clusterrolebindings" .* at the cluster scope/,
    )
    const changed = await root.fails(`-n ${ns} patch rolebinding reads --type=merge -p`, {
      more: ['{"roleRef":{"name":"other"}}'],
    })
    assert.match(changed, /The RoleBinding "reads" is invalid: roleRef: Invalid value: .*: cannot change roleRef/)
  })

  it('shortens tokens that are asked to live longer than a day, and says so', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(`/api/v1/namespaces/${ns}/serviceaccounts`, { metadata: { name: 'long' } })
    const path = `/api/v1/namespaces/${ns}/serviceaccounts/long/token`
    const ask = (expirationSeconds: number) => cluster.api.send('POST', path, { body: { spec: { expirationSeconds } } })
    const { code, json, headers } = await ask(2 ** 32)
    assert.equal(code, 201)
    assert.equal(json.spec.expirationSeconds, 86_400)
    assert.ok(Date.parse(json.status.expirationTimestamp) - Date.now() < 86_401_000)
    assert.match(String(headers.warning), /requested expiration of 4294967296 seconds shortened to 86400 seconds/)
    assert.equal((await ask(86_400)).headers.warning, undefined)
  })

  it('signs ServiceAccounts in by token, until they are deleted', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.until('default', `/api/v1/namespaces/${ns}/serviceaccounts/default`, Boolean)
    await root.ok(`-n ${ns} create serviceaccount bot`)
    const post = (name: string, spec: object) =>
      cluster.api.send('POST', `/api/v1/namespaces/${ns}/serviceaccounts/${name}/token`, { body: { spec } })
    const token: string = (await post('bot', { audiences: null, expirationSeconds: 900 })).json.status.token
    const bot = await bearing(token, ns)
    assert.match(await bot.fails('get vm'), new RegExp(`User "system:serviceaccount:${ns}:bot" cannot list`))
    await bind(bot, ns, 'view', `serviceaccount=${ns}:bot`)
    assert.match((await bot.run(['get', 'vm'])).err, /^No resources found/)
    assert.match((await post('bot', { expirationSeconds: 60 })).json.message, /less than 10 minutes/)
    assert.match((await post('nobody', {})).json.message, /serviceaccounts "nobody" not found/)
    const elsewhere: string = (await post('bot', { audiences: ['vault'] })).json.status.token
    const refused = /You must be logged in to the server/
    assert.match(await (await bearing(elsewhere, ns)).fails('get vm'), refused)
    await root.ok(`-n ${ns} delete serviceaccount bot`)
    await root.ok(`-n ${ns} create serviceaccount bot`)
    assert.match(await (await bearing(token, ns)).fails('get vm'), refused)
    assert.match(await (await bearing(`${token.slice(0, -4)}AAAA`, ns)).fails('get vm'), refused)
  })

  it('goes by the credentials that kubectl config was told', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(vmsPath(ns), vm('a', [], { runStrategy: 'Halted' }))
    const jill = join(cluster.dir.root, 'jill')
    const made = await createUser({ dataDir: cluster.dir.root, name: 'jill', groups: [] })
    const raw = await new Kubectl({ ...cluster.dir, kubeconfig: made }, ns).ok('config view --raw -o json')
    const { user } = JSON.parse(raw).users[0]
    for (const part of ['certificate', 'key'])
      await writeFile(`${jill}.${part}`, Buffer.from(user[`client-${part}-data`], 'base64'), { mode: 0o600 })
    const kubeconfig = join(cluster.dir.root, 'config.kubeconfig')
    await writeFile(kubeconfig, await readFile(cluster.dir.kubeconfig), { mode: 0o600 })
    const k = new Kubectl({ ...cluster.dir, kubeconfig }, ns)
    const context = async (name: string, ...how: string[]) => {
      assert.equal(await k.ok(`config set-credentials ${name}`, { more: how }), `User "${name}" set.\n`)
      const args = `config set-context ${name} --cluster=patchbay --user=${name} --namespace=${ns}`
      assert.equal(await k.ok(args), `Context "${name}" created.\n`)
      assert.equal(await k.ok(`config use-context ${name}`), `Switched to context "${name}".\n`)
    }
    await context('jill', `--client-certificate=${jill}.certificate`, `--client-key=${jill}.key`, '--embed-certs')
    assert.match(await k.fails('get vm'), /User "jill" cannot list resource "virtualmachines"/)
    const { code, out } = await k.run(['auth', 'can-i', 'list', 'vm'])
    assert.deepEqual([code, out], [1, 'no\n'])
    await bind(k, ns, 'view', 'user=jill')
    assert.equal(await k.ok('get vm -o name'), 'virtualmachine.kubevirt.io/a\n')
    assert.match(await k.fails('delete vm a'), /User "jill" cannot delete resource "virtualmachines"/)
    assert.match(await k.fails('apply -f -', { input: vm('b') }), /User "jill" cannot create resource/)
    assert.match(await k.fails('edit vm a', { env: { EDITOR: 'sed -i s/Halted/Always/' } }), /User "jill" cannot patch/)
    await context('ali', '--token=sesame')
    assert.match(await k.fails('get vm'), /User "ali" cannot list resource "virtualmachines"/)
    assert.equal(await k.ok('config current-context'), 'ali\n')
    assert.match(await k.ok('--context jill get vm -o name'), /\/a$/m)
    await context('nobody', '--token=wrong')
    assert.match(await k.fails('get vm'), /You must be logged in to the server|Unauthorized/)
  })

  it('gives tokens by kubectl create token', { skip: kubectlLacks('create token') }, async () => {
    const token = (await root.ok('create token default --duration=15m')).trim()
    const bot = await bearing(token, 'default')
    assert.match(await bot.fails('get vm'), /User "system:serviceaccount:default:default" cannot list/)
    assert.match(await root.fails('create token default --duration=1m'), /less than 10 minutes/)
    assert.match(await root.fails('create token nobody'), /serviceaccounts "nobody" not found/)
  })

  it('signs in by the token file', async () => {
    const ali = await bearing('sesame', 'default')
    assert.match(await ali.fails('get vm'), /User "ali" cannot list/)
    await bind(ali, 'default', 'view', 'group=thieves')
    assert.match((await ali.run(['get', 'vm'])).err, /^No resources found/)
  })

  it('tells who one is', { skip: kubectlLacks('auth whoami') }, async () => {
    const ali = await bearing('sesame', 'default')
    const who = /^Username +ali\nUID +40\nGroups +\[cave thieves system:authenticated\]$/m
    assert.match(await ali.ok('auth whoami'), who)
    const bot = await bearing(
      await cluster.api
        .create('/api/v1/namespaces/default/serviceaccounts/default/token', {})
        .then((one) => one.status.token),
      'default',
    )
    assert.match(await bot.ok('auth whoami'), /system:serviceaccounts:default system:authenticated/)
  })

  it('shows the new kinds as a real cluster does', async () => {
    const ns = await makeNamespace(cluster.api)
    await root.ok(`-n ${ns} create configmap c`, { more: ['--from-literal=a=b', '--from-literal=c=d'] })
    await root.ok(`-n ${ns} create rolebinding b --clusterrole=view --user=jane --serviceaccount=x:y`)
    await root.ok(`-n ${ns} create role r --verb=get --resource=pods`)
    const get = async (what: string) => (await root.ok(`-n ${ns} get ${what}`)).replace(/ +/g, ' ')
    assert.match(await get('cm c'), /^NAME DATA AGE\nc 2 \d+s\n$/)
    assert.match(
      await get('rolebinding b -o wide'),
      /^NAME ROLE AGE USERS GROUPS SERVICEACCOUNTS\nb ClusterRole\/view \d+s jane x\/y\n$/,
    )
    assert.match(await get('role r'), /^NAME CREATED AT\nr \d{4}-\d\d-\d\dT[\d:]+Z\n$/)
    assert.match(await get('sa'), /^NAME SECRETS AGE\ndefault 0 \d+s\n$/)
    await root.ok(
      'get clusterrole kubevirt.io:admin kubevirt.io:edit kubevirt.io:view kubevirt.io:migrate cluster-admin',
    )
  })

  it('answers questions about others only to those who may ask everywhere', async () => {
    const ns = await makeNamespace(cluster.api)
    const rules = [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }]
    await cluster.api.create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/roles`, {
      metadata: { name: 'all' },
      rules,
    })
    await root.ok(`-n ${ns} create rolebinding all --role=all --user=nosy`)
    const nosy = await cluster.as('nosy', [])
    const spec = (namespace: string) => ({
      user: 'x',
      resourceAttributes: { namespace, verb: 'get', resource: 'pods' },
    })
    const ask = (path: string, namespace: string) =>
      nosy.send('POST', `/apis/authorization.k8s.io/v1/${path}`, { body: { spec: spec(namespace) } })
    const local = `namespaces/${ns}/localsubjectaccessreviews`
    await eventually('the role', async () => (await ask(local, ns)).code === 201)
    assert.deepEqual((await ask(local, ns)).json.status, { allowed: false })
    assert.equal((await ask(local, 'default')).code, 422)
    assert.equal((await ask('subjectaccessreviews', 'default')).code, 403)
    assert.equal((await ask(`namespaces/${ns}/subjectaccessreviews`, 'default')).code, 404)
    const asRoot = await cluster.api.send('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      body: { spec: { ...spec(ns), user: 'nosy' } },
    })
    assert.equal(asRoot.json.status.allowed, true)
    for (const [method, path] of [
      ['GET', 'selfsubjectaccessreviews'],
      ['DELETE', 'subjectaccessreviews'],
    ] as const)
      assert.equal((await cluster.api.send(method, `/apis/authorization.k8s.io/v1/${path}`)).code, 405)
    // A right to everything in a namespace is none to what belongs to no namespace.
    for (const path of ['clusterroles', 'clusterroles/cluster-admin'])
      assert.equal((await nosy.send('GET', `/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/${path}`)).code, 404)
  })

  it('makes users only under names that belong to nobody else', async () => {
    const make = (name: string, ...groups: string[]) => createUser({ dataDir: cluster.dir.root, name, groups })
    await assert.rejects(make('system:serviceaccount:default:default'), /names that begin with system: are reserved/)
    for (const name of ['', 'a/b', '../a', 'a b', 'x'.repeat(65)]) await assert.rejects(make(name), /is not made of/)
    await assert.rejects(make('a', 'b,c'), /Group "b,c" is not made of/)
  })

  it('writes an audit line for what is refused before it is understood', async () => {
    const ns = await makeNamespace(cluster.api)
    const path = `/api/v1/namespaces/${ns}/configmaps`
    const big = JSON.stringify({ metadata: { name: 'big' }, data: { a: 'x'.repeat(4 * 1024 * 1024) } })
    assert.equal((await cluster.api.send('POST', path, { body: big, type: 'application/json' })).code, 413)
    assert.equal((await cluster.api.send('PURGE', `${path}/x`)).code, 405)
    assert.equal((await cluster.api.send('POST', `${path}/%zz`, { body: {} })).code, 400)
    const lines = await eventually('three lines', async () => {
      const all = (await readFile(cluster.dir.audit, 'utf8')).trimEnd().split('\n')
      const own = all.filter((line) => line.includes(ns)).map((line) => JSON.parse(line))
      const refused = own.filter(({ code }) => [413, 405, 400].includes(code))
      return refused.length === 3 && refused
    })
    assert.deepEqual(
      lines.map(({ verb, code }) => [verb, code]),
      [
        ['create', 413],
        ['purge', 405],
        ['post', 400],
      ],
    )
  })

  it('writes one audit line for each write, refused ones too', async () => {
    const ns = await makeNamespace(cluster.api)
    const mallory = await as('mallory', ns, 'crowd')
    await mallory.fails('create configmap stolen')
    await root.ok(`-n ${ns} create configmap mine --from-literal=password=hunter2`)
    const text = await eventually('the lines', async () => {
      const all = await readFile(cluster.dir.audit, 'utf8')
      return all.includes('"mine"') && all
    })
    assert.ok(!text.includes('hunter2'))
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const here = lines.filter((line) => line.namespace === ns && line.resource === 'configmaps')
    assert.deepEqual(
      here.map(({ user, verb, code, name }) => [user, verb, code, name]),
      [
        ['mallory', 'create', 403, undefined],
        ['admin', 'create', 201, 'mine'],
      ],
    )
    assert.deepEqual(here[0].groups, ['crowd', 'system:authenticated'])
    assert.match(here[0].userAgent, /^kubectl/)
    const { headers } = await cluster.api.send('DELETE', `/api/v1/namespaces/${ns}/configmaps/mine`)
    await eventually('the line that the answer names', async () =>
      (await readFile(cluster.dir.audit, 'utf8')).includes(`"id":"${headers['audit-id']}"`),
    )
    assert.ok(!lines.some((line) => line.resource === 'selfsubjectaccessreviews' || line.verb === 'list'))
    assert.deepEqual(cluster.errors, [])
  })
})
