import { isObject, parsedJson } from '#base/json.ts'
import type { Doc } from '../../wire/document.ts'
import { NotFound } from '../../wire/faults.ts'
import * as audit from '../audit.ts'
import { type Call, complete, created, ok } from '../call.ts'
import { beginJob, beginStep, type ExternalJob, end, externalJobs, type Step, type Work } from '../jobs.ts'
import { hrefOf, type Route } from '../routes.ts'
import type { Fields } from '../search.ts'
import { link, listed } from './collection.ts'
import { annotation, type Entry, entriesFor, timeOf } from './events.ts'

/** A job of the engine: what an entry of the audit log ended (facts/ovirt.md §6). */
function ownJobDoc({ event }: Entry): Doc | undefined {
  const job = parsedJson(annotation(event, audit.jobAnnotation) ?? '')
  if (!isObject(job) || typeof job.description !== 'string') return undefined
  const endMs = timeOf(event).getTime()
  const isFailed = annotation(event, audit.severityAnnotation) !== 'normal'
  const startMs = Number(job.startMs)
  const work: Work = {
    description: job.description,
    status: isFailed ? 'failed' : 'finished',
    startMs,
    // Times of Events are whole seconds.
    endMs: Math.max(startMs, endMs),
  }
  return jobDoc(event.metadata.uid, work, annotation(event, audit.correlationAnnotation), false)
}

function jobDoc(id: string, work: Work, correlationId: string | undefined, external: boolean): Doc {
  return {
    href: hrefOf('jobs', id),
    id,
    description: work.description,
    ...(external && { actions: { link: ['clear', 'end'].map((name) => link(hrefOf('jobs', id, name), name)) } }),
    link: [link(hrefOf('jobs', id, 'steps'), 'steps')],
    auto_cleared: true,
    correlation_id: correlationId,
    external,
    ...timesOf(work),
  }
}

function timesOf({ startMs, endMs, status }: Work): Doc {
  const last = endMs ?? startMs
  return {
    ...(endMs !== undefined && { end_time: new Date(endMs) }),
    last_updated: new Date(last),
    start_time: new Date(startMs),
    status,
  }
}

function stepDoc(job: string, step: Step): Doc {
  const at = hrefOf('jobs', job, 'steps', step.id)
  return {
    href: at,
    id: step.id,
    description: step.description,
    actions: { link: [link(`${at}/end`, 'end')] },
    external: true,
    type: step.type,
    job: { href: hrefOf('jobs', job), id: job },
    ...timesOf(step),
  }
}

const fields: Fields<Doc> = (job, field, of) => {
  if (of !== undefined && of !== 'job') return undefined
  const text = (name: string) => [String(job[name] ?? '')]
  return {
    id: text('id'),
    correlation_id: text('correlation_id'),
    status: text('status'),
    description: text('description'),
  }[field]
}

async function jobs(call: Call): Promise<readonly Doc[]> {
  const external = (await externalJobs(call)).map((job) => jobDoc(job.id, job, job.correlationId, true))
  const own = (await entriesFor(call)).map(ownJobDoc).filter((job) => job !== undefined)
  return [...external, ...own]
}

async function theExternal(call: Call): Promise<ExternalJob | undefined> {
  return (await externalJobs(call)).find(({ id }) => id === call.params.job)
}

async function theJob(call: Call): Promise<Doc> {
  const found = (await jobs(call)).find(({ id }) => id === call.params.job)
  if (!found) throw new NotFound()
  return found
}

/** Jobs of the engine have no steps that are told. */
async function steps(call: Call): Promise<readonly Step[]> {
  const external = await theExternal(call)
  if (!external) await theJob(call)
  return external?.steps ?? []
}

export const jobRoutes: readonly Route[] = [
  {
    path: 'jobs',
    get: async (call) => listed(call, { root: 'jobs', item: 'job', show: (job) => job }, await jobs(call), fields),
    post: async (call) => {
      const job = await beginJob(call)
      return created('job', jobDoc(job.id, job, job.correlationId, true))
    },
  },
  { path: 'jobs/:job', get: async (call) => ok('job', await theJob(call)) },
  {
    path: 'jobs/:job/end',
    post: async (call) => {
      await end(call)
      return complete()
    },
  },
  {
    path: 'jobs/:job/steps',
    get: async (call) => {
      const show = (step: Step) => stepDoc(call.params.job ?? '', step)
      return listed(call, { root: 'steps', item: 'step', show }, await steps(call))
    },
    post: async (call) => created('step', stepDoc(call.params.job ?? '', await beginStep(call))),
  },
  {
    path: 'jobs/:job/steps/:step',
    get: async (call) => {
      const found = (await steps(call)).find(({ id }) => id === call.params.step)
      if (!found) throw new NotFound()
      return ok('step', stepDoc(call.params.job ?? '', found))
    },
  },
  {
    path: 'jobs/:job/steps/:step/end',
    post: async (call) => {
      await end(call)
      return complete()
    },
  },
]
