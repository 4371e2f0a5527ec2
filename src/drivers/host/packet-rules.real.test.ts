import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { ensureNetns, netnsName, netnsPath, removeNetns } from './netns.ts'
import { PacketRules } from './packet-rules.ts'
import { run } from './run.ts'

const signal = AbortSignal.timeout(60_000)

const nat = (to: string) => `table ip k6t
delete table ip k6t
table ip k6t {
  chain pre { type nat hook prerouting priority dstnat
    iifname "eth0" ip daddr 10.0.0.1 tcp dport { 80, 22 } dnat to ${to}
  }
}
`
const filter = (tap: string) => `table bridge ${tap}
delete table bridge ${tap}
table bridge ${tap} {
  chain guest { type filter hook prerouting priority -300; policy accept;
    iifname "${tap}" ether saddr != 02:00:00:00:00:01 drop
  }
}
`

/** A namespace of the test's own, and how to run nft in it. */
async function open(t: TestContext) {
  const name = netnsName(randomUUID())
  t.after(() => removeNetns(name, AbortSignal.timeout(10_000)))
  await ensureNetns(name, { isOurs: () => false }, signal)
  const nft = (...words: string[]) => run('nsenter', [`--net=${netnsPath(name)}`, 'nft', ...words], { signal })
  const rules = new PacketRules('pbtest')
  const tables = async () => (await nft('list', 'tables')).trim().split('\n').filter(Boolean)
  const isRight = async (script: string) => {
    await rules.look([name], signal)
    return rules.isRight(name, script)
  }
  return { name, nft, rules, tables, isRight }
}

test('whatever is done to rules is seen at the next look, and put right', async (t) => {
  const { name, nft, rules, isRight } = await open(t)
  const script = nat('10.0.2.2') + filter('tap0')
  await rules.ensure(name, script, { isForwarding: true }, signal)
  assert.equal(rules.isRight(name, script), true)
  assert.equal(await isRight(script), true)
  const forwards = await run('nsenter', [`--net=${netnsPath(name)}`, 'cat', '/proc/sys/net/ipv4/ip_forward'], {
    signal,
  })
  assert.equal(forwards.trim(), '1')
  for (const damage of [
    ['flush', 'ruleset'],
    ['flush', 'table', 'ip', 'k6t'],
    ['delete', 'table', 'bridge', 'tap0'],
    ['flush', 'chain', 'bridge', 'tap0', 'guest'],
    ['insert', 'rule', 'bridge', 'tap0', 'guest', 'accept'],
    ['add', 'table', 'bridge', 'tapffff'],
  ]) {
    await nft(...damage)
    assert.equal(await isRight(script), false, damage.join(' '))
    await rules.ensure(name, script, {}, signal)
    assert.equal(await isRight(script), true, damage.join(' '))
  }
})

test("other rules are other rules, and those of nobody's any more go; somebody else's table is left alone", async (t) => {
  const { name, nft, rules, tables, isRight } = await open(t)
  await nft('add', 'table', 'inet', 'theirs')
  await rules.ensure(name, nat('10.0.2.2') + filter('tap0') + filter('tap1'), {}, signal)
  assert.equal(await isRight(nat('10.0.2.9')), false)
  await rules.ensure(name, filter('tap1'), {}, signal)
  assert.deepEqual(await tables(), ['table inet theirs', 'table bridge tap1'])
  assert.equal(await isRight(filter('tap1')), true)
  await rules.ensure(name, '', {}, signal)
  assert.deepEqual(await tables(), ['table inet theirs'])
  assert.equal(await isRight(''), true)
})

test('another process finds nothing to trust, and makes the rules anew', async (t) => {
  const { name, rules, isRight } = await open(t)
  await rules.ensure(name, filter('tap0'), {}, signal)
  const later = new PacketRules('pbtest')
  await later.look([name], signal)
  assert.equal(later.isRight(name, filter('tap0')), false)
  await later.ensure(name, filter('tap0'), {}, signal)
  assert.equal(later.isRight(name, filter('tap0')), true)
  assert.equal(await isRight(filter('tap0')), true)
})

test('rules that go before it is learned what they became are missed all the same', async (t) => {
  const { name, nft, rules, isRight } = await open(t)
  await rules.ensure(name, filter('tap0') + filter('tap1'), {}, signal)
  await nft('delete', 'table', 'bridge', 'tap0')
  assert.equal(await isRight(filter('tap0') + filter('tap1')), false)
})

test('one namespace that is gone keeps no other from being looked at', async (t) => {
  const { name, rules } = await open(t)
  await rules.ensure(name, filter('tap0'), {}, signal)
  await rules.look(['pb-none', name, 'host'], signal)
  assert.deepEqual([rules.isRight('pb-none', filter('tap0')), rules.isRight(name, filter('tap0'))], [false, true])
  assert.equal(rules.isRight('host', ''), true)
})

test('rules that the kernel does not take leave those that were there', async (t) => {
  const { name, rules, isRight } = await open(t)
  await rules.ensure(name, filter('tap0'), {}, signal)
  await assert.rejects(rules.ensure(name, filter('tap1').replace('drop', 'nonsense'), {}, signal), {
    kind: 'Unavailable',
  })
  assert.equal(await isRight(filter('tap0')), true)
})

test('a look that was begun before rules were applied does not take their place', async (t) => {
  const { name, rules, isRight } = await open(t)
  // It goes on for a while after it has seen what is asked about.
  const looking = rules.look([name, ...Array<string>(200).fill('pb-none')], signal)
  const applying = rules.ensure(name, filter('tap0'), {}, signal)
  await Promise.all([looking, applying])
  assert.equal(rules.isRight(name, filter('tap0')), true)
  assert.equal(await isRight(filter('tap0')), true)
})

test('commands for links are carried out before the rules hold and after, whether rules are made, replaced, deleted or right already', async (t) => {
  const { name, rules } = await open(t)
  const links = async () => {
    const text = await run('ip', ['-n', name, '-brief', 'link'], { signal })
    return text.match(/pb(before|after)\d/g) ?? []
  }
  for (const [i, script] of [filter('tap0'), nat('10.0.2.2'), nat('10.0.2.3'), '', ''].entries()) {
    const add = (which: string) => [`link add pb${which}${i} type bridge`]
    await rules.ensure(name, script, { before: add('before'), after: add('after') }, signal)
    const made = (await links()).filter((link) => link.endsWith(String(i)))
    assert.deepEqual(made.toSorted(), [`pbafter${i}`, `pbbefore${i}`], `round ${i}`)
    await assert.rejects(rules.ensure(name, filter('tap9'), { before: ['link set nosuch up'] }, signal), /nosuch/)
    await assert.rejects(rules.ensure(name, filter(`tap8${i}`), { after: ['link set nosuch up'] }, signal), /nosuch/)
  }
})
