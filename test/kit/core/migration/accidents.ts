import type { SourceCopy, TargetCopy } from '#core/migration/outcome.ts'

/**
 * A guest that moves, at both ends. `job` is how far libvirt's protocol is: sending while the guest runs, sending the rest, all there
 * and not yet heard of at the source.
 */
export type Copies = Readonly<{
  source: SourceCopy
  target: TargetCopy
  job: 'none' | 'sending' | 'switching' | 'arriving'
}>

/** Everything that may happen next, in any order, without the agents. */
export function accidents<W extends Copies>(world: W): W[] {
  const { source, target, job } = world
  const next: W[] = []
  const be = (change: Partial<Copies>) => next.push({ ...world, ...change })
  if (job === 'sending' && target === 'none') be({ target: 'incoming' })
  if (job === 'sending' && target === 'incoming') be({ job: 'switching', source: 'stopped' })
  if (job === 'switching' && target === 'incoming') be({ job: 'arriving', target: 'arrived' })
  // The source has heard of the arrival and lets go.
  if (job === 'arriving') be({ job: 'none', source: 'gone' })
  // The migration fails, or a connection breaks: the source runs again. Before the arrival the target is ended.
  if (job !== 'none' && source !== 'gone')
    be({ job: 'none', source: 'running', ...(target === 'incoming' && { target: 'none' }) })
  // The source's libvirtd is killed: afterwards it lets the guest run, or leaves it standing when all was sent.
  if (job === 'switching' || job === 'arriving') be({ job: 'none' })
  // The target is ended, or its guest shuts down, and that is seen.
  if (target === 'incoming') be({ target: 'ending', job: 'none', ...(source === 'stopped' && { source: 'running' }) })
  if (target === 'running') be({ target: 'ending' })
  // The target's is killed: what had not arrived is ended when it is started again, by then the source knows.
  if (target === 'incoming' || target === 'arrived') be({ target: 'silent' })
  if (target === 'silent') {
    be({ target: 'none', job: 'none' })
    be({ target: 'arrived' })
  }
  // A QEMU crashes.
  if (source !== 'gone') be({ source: 'gone', job: 'none' })
  if (target !== 'none') be({ target: 'none', job: 'none' })
  return next
}
