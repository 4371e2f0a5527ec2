import { randomUUID } from 'node:crypto'
import { ConfigMap } from '#apis/core/configmap.ts'
import type { Stored } from '#apis/meta/object.ts'
import { isList, isObject, type JsonObject, parsedJson } from '#base/json.ts'
import { EngineFault, incomplete, NotFound } from '../wire/faults.ts'
import type { Call } from './call.ts'
import { engineFault } from './kube-faults.ts'

/** On the ConfigMaps that hold jobs of clients' own. */
const jobLabel = 'ovirt.patchbay.dev/job'
/** How long a job is kept after its end, milliseconds. */
const keptMs = 3600_000

const states = ['started', 'finished', 'failed', 'aborted', 'unknown'] as const
type JobStatus = (typeof states)[number]

/** A step of a job, or the job itself. Times are milliseconds since 1970. */
export type Work = Readonly<{ description: string; status: JobStatus; startMs: number; endMs?: number }>
export type Step = Work & Readonly<{ id: string; type: string }>
/** A job that a client began, and ends itself. */
export type ExternalJob = Work & Readonly<{ id: string; steps: readonly Step[]; correlationId: string }>

type Held = Stored<ConfigMap>

/** The jobs of clients' own that the user may see. */
export async function externalJobs(call: Call): Promise<readonly ExternalJob[]> {
  return (await held(call)).flatMap((one) => jobIn(one) ?? [])
}

async function held({ client, world }: Call): Promise<readonly Held[]> {
  const lists = (await world.dataCenters()).map(async ({ namespace }) => {
    try {
      return (await client.list(ConfigMap, { namespace, labelSelector: jobLabel })).items
    } catch (error) {
      if (engineFault(error) instanceof EngineFault) return []
      throw error
    }
  })
  return (await Promise.all(lists)).flat()
}

function jobIn({ metadata, data }: Held): ExternalJob | undefined {
  const job = parsedJson(data?.job ?? '')
  const work = isObject(job) ? workIn(job) : undefined
  if (!isObject(job) || !work) return undefined
  const steps = isList(job.steps) ? job.steps.filter(isObject) : []
  return {
    ...work,
    id: metadata.uid,
    correlationId: String(job.correlationId ?? ''),
    steps: steps.flatMap((step): Step[] => {
      const own = workIn(step)
      return own ? [{ ...own, id: String(step.id), type: String(step.type) }] : []
    }),
  }
}

function workIn({ description, status, startMs, endMs }: JsonObject): Work | undefined {
  const known = states.find((one) => one === status)
  if (typeof description !== 'string' || !known || typeof startMs !== 'number') return undefined
  return { description, status: known, startMs, ...(typeof endMs === 'number' && { endMs }) }
}

/** Begins a job, and forgets those that ended long ago. Resolves to it. @throws EngineFault */
export async function beginJob(call: Call): Promise<ExternalJob> {
  const { input, client, world, correlationId } = call
  const description = input.textAt('description')
  if (!description) throw incomplete('Job', 'add', 'description')
  const [place] = await world.dataCenters()
  const nowMs = Date.now()
  const job = { ...begun(call, description, nowMs), correlationId, steps: [] }
  try {
    for (const old of await held(call)) {
      const endMs = jobIn(old)?.endMs
      if (endMs !== undefined && nowMs - endMs > keptMs) await client.delete(ConfigMap, old.metadata)
    }
    const made = await client.create(ConfigMap, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        namespace: place?.namespace ?? 'default',
        name: `ovirt-job-${randomUUID()}`,
        labels: { [jobLabel]: '' },
      },
      data: { job: JSON.stringify(job) },
    })
    return { ...job, id: made.metadata.uid }
  } catch (error) {
    throw engineFault(error)
  }
}

function begun({ input }: Call, description: string, startMs: number): Work {
  const status = input.textAt('status')?.toLowerCase() ?? 'started'
  const known = states.find((one) => one === status)
  if (!known)
    throw new EngineFault(
      400,
      'Invalid Enum value',
      `The value '${status}' isn't a valid JobStatus, it should be one of ${states.join(', ')}`,
    )
  return { description, status: known, startMs, ...(known !== 'started' && { endMs: startMs }) }
}

/** Begins a step of a job. Resolves to it. @throws EngineFault, NotFound */
export async function beginStep(call: Call): Promise<Step> {
  const description = call.input.textAt('description')
  if (!description) throw incomplete('Step', 'add', 'description')
  const step = {
    ...begun(call, description, Date.now()),
    id: randomUUID(),
    type: call.input.textAt('type') ?? 'unknown',
  }
  await changeJob(call, (job) => ({ ...job, steps: [...job.steps, step] }))
  return step
}

/** Ends a job, or the step of it that the path names. @throws EngineFault, NotFound */
export async function end(call: Call): Promise<void> {
  const { step } = call.params
  const isGood = (call.input.textAt('succeeded') ?? 'true').toLowerCase() === 'true'
  const how = { status: isGood ? ('finished' as const) : ('failed' as const), endMs: Date.now() }
  await changeJob(call, (job) => {
    if (step === undefined) return { ...job, ...how }
    if (!job.steps.some(({ id }) => id === step)) throw new NotFound()
    return { ...job, steps: job.steps.map((one) => (one.id === step ? { ...one, ...how } : one)) }
  })
}

async function changeJob(call: Call, change: (job: ExternalJob) => ExternalJob): Promise<void> {
  const found = (await held(call)).find(({ metadata }) => metadata.uid === call.params.job)
  if (!found) throw new NotFound()
  try {
    await call.client.modify(ConfigMap, found.metadata, (current) => {
      const job = jobIn(current)
      if (!job) throw new NotFound()
      const { id: _, ...rest } = change(job)
      return { ...current, data: { ...current.data, job: JSON.stringify(rest) } }
    })
  } catch (error) {
    throw engineFault(error)
  }
}
