/** A stream of what happens. */
import { isJobId } from '../../core/id.ts'
import { ErrandError } from '../../core/errors.ts'
import type { QueueInfo } from '../../client/queues.ts'
import { clientOf } from '../../client/own-client.ts'
import type { ApiRequest } from '../api-request.ts'
import { mayTouch } from '../caller.ts'
import { isNewSince, type ShownJob } from '../events/changes.ts'
import { feedOf, type Feed } from '../events/feed.ts'
import { EventStream, streamBounds, streamHeaders } from '../events/stream.ts'
import { Problem } from '../problem.ts'
import { storeNow } from '../../flows/schedules/info.ts'
import { checkQueue, textOf } from '../read.ts'
import type { Route, RouteCall } from '../route.ts'
import { list, text } from '../schemas.ts'

const mostJobs = 100
/** Queues whose counts one stream tells of, the first by name. */
const mostQueues = 1_000

export const eventRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/events',
    id: 'streamEvents',
    summary:
      'Follow jobs and queues as server-sent events. `Last-Event-ID` goes on where one ended.',
    tag: 'events',
    scopes: ['read'],
    query: {
      job: {
        schema: { ...list(text), maxItems: mostJobs },
        description: 'Only this job; may be repeated, up to 100 times. Not with the others.',
      },
      queue: { schema: text, description: 'Only jobs of this queue, and its counts.' },
      task: { schema: text, description: 'Only jobs of this task.' },
      only: {
        schema: { enum: ['queues'] },
        description: 'Only the counts of queues, which cost little. Not with `job` and `task`.',
      },
    },
    answers: {
      200: {
        description:
          'A stream of `job` events with the state and progress of a job, `gone` events with the ' +
          'id of one that is not known any more, and `queue` events with the counts of a queue.',
      },
    },
    async handle(call) {
      const { jobs, queue, task, isCounts } = readWanted(call)
      // Who asks for the head alone reads no stream.
      if (call.request.method === 'HEAD') return new Response(null, { headers: streamHeaders })
      const since = readSince(call.request)
      if (jobs !== undefined)
        return openStream(call, (...stream) => followJobs(call, stream, { ids: jobs, since }))
      const tasks = task === undefined ? null : await clientOf(call.errand).namesOf(task)
      // What happens between now and the first look is told.
      const from = since ?? (await storeNow(call.errand.store))
      const wanted = { queue: queue ?? null, tasks, isCounts, since: from }
      return openStream(call, (...stream) => followQueues(call, stream, wanted))
    },
  },
]

interface Wanted {
  readonly jobs?: readonly string[]
  readonly queue?: string
  readonly task?: string
  /** Whether only counts are told. */
  readonly isCounts: boolean
}

function readWanted({ query, caller }: RouteCall): Wanted {
  const jobs = query['job'] as readonly string[] | undefined
  const queue = textOf(query, 'queue')
  const task = textOf(query, 'task')
  const isCounts = query['only'] === 'queues'
  if (queue !== undefined) checkQueue(caller, queue)
  if (isCounts && (jobs !== undefined || task !== undefined))
    throw new Problem('invalid-option', 'only=queues goes with queue alone.')
  if (jobs === undefined)
    return {
      isCounts,
      ...(queue === undefined ? {} : { queue }),
      ...(task === undefined ? {} : { task }),
    }
  if (queue !== undefined || task !== undefined)
    throw new Problem('invalid-option', 'Give either job, or queue and task.')
  if (jobs.length > mostJobs)
    throw new Problem('invalid-option', `A stream follows at most ${mostJobs} jobs by their ids.`)
  if (!jobs.every(isJobId)) throw new Problem('invalid-option', 'job is the id of a job: a UUID.')
  return { jobs: [...new Set(jobs)], isCounts }
}

/** The time that a reader has seen everything of, in ms; null for one that begins. Unreadable ids are those of other streams. */
function readSince(request: ApiRequest): number | null {
  const id = request.headers.get('last-event-id') ?? ''
  return /^\d{1,15}$/.test(id) ? Number(id) : null
}

/** Subscribes a stream; what it subscribes to is left by the functions that it hands to `onEnd`. */
type Follow = (stream: EventStream, feed: Feed, onEnd: (leave: () => void) => void) => void

const open = new WeakMap<Feed, { count: number }>()

function openStream({ errand, signal }: RouteCall, follow: Follow): Response {
  const feed = feedOf(errand)
  const readers = open.get(feed) ?? { count: 0 }
  open.set(feed, readers)
  if (readers.count >= streamBounds.streams)
    throw new ErrandError('overloaded', 'This manager has as many streams as it can have.')
  readers.count += 1
  const leaves: (() => void)[] = []
  let isOpen = true
  const stream = new EventStream(errand.store.clock, () => {
    isOpen = false
    readers.count -= 1
    signal.removeEventListener('abort', stop)
    for (const leave of leaves) leave()
  })
  const stop = (): void => stream.close()
  try {
    follow(stream, feed, (leave) => void (isOpen ? leaves.push(leave) : leave()))
  } catch (error) {
    stream.close()
    throw error
  }
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  return new Response(stream.body, { headers: streamHeaders })
}

/** Each job as it is when the stream begins, unless its reader has seen that, then each change. */
function followJobs(
  { caller }: RouteCall,
  [stream, feed, onEnd]: Parameters<Follow>,
  { ids, since }: { readonly ids: readonly string[]; readonly since: number | null },
): void {
  let last = since ?? 0
  const gone = new Set<string>()
  const tellGone = (id: string): void => {
    if (gone.has(id)) return
    gone.add(id)
    stream.send('gone', String(last), JSON.stringify({ id }))
  }
  const tell = (jobs: readonly ShownJob[], seen: number): void => {
    last = Math.max(last, seen)
    for (const job of jobs) {
      // Of a job that the caller may not see nothing is known.
      if (!mayTouch(caller, job.queue)) tellGone(job.id)
      else {
        gone.delete(job.id)
        stream.send('job', String(last), job.text)
      }
    }
  }
  for (const id of ids) {
    const leave = feed.watchJob(id, {
      begin(jobs, seen) {
        if (jobs.length === 0) tellGone(id)
        else
          tell(
            jobs.filter((job) => since === null || isNewSince(job, since)),
            seen,
          )
      },
      tell(news) {
        tell(news.jobs, news.seen)
        for (const one of news.gone) tellGone(one)
      },
    })
    onEnd(leave)
  }
}

function followQueues(
  { caller }: RouteCall,
  [stream, feed, onEnd]: Parameters<Follow>,
  {
    queue,
    tasks,
    isCounts,
    since,
  }: {
    readonly queue: string | null
    readonly tasks: readonly string[] | null
    readonly isCounts: boolean
    readonly since: number
  },
): void {
  let last = since
  const told = (jobs: readonly ShownJob[], seen: number): void => {
    last = Math.max(last, seen)
    for (const job of jobs)
      if (mayTouch(caller, job.queue)) stream.send('job', String(last), job.text)
  }
  const known = new Map<string, string>()
  const counted = (queues: readonly QueueInfo[]): void => {
    const mine = queues.filter(
      ({ name }) => mayTouch(caller, name) && (queue === null || name === queue),
    )
    const left = new Set(known.keys())
    for (const one of mine.slice(0, mostQueues)) {
      left.delete(one.name)
      const data = JSON.stringify(one)
      if (known.get(one.name) === data) continue
      known.set(one.name, data)
      stream.send('queue', String(last), data)
    }
    for (const name of left) {
      known.delete(name)
      stream.send('queue', String(last), JSON.stringify({ name, paused: false, counts: {} }))
    }
  }
  // Each queue of a caller has a look of its own, so that busy queues of others hide nothing.
  const looked = queue === null ? (caller.queues ?? [null]) : [queue]
  for (const one of isCounts ? [] : looked) {
    const leave = feed.watchQueues(
      { queue: one, tasks },
      {
        begin: (jobs, seen) =>
          told(
            jobs.filter((job) => isNewSince(job, since)),
            seen,
          ),
        tell(news) {
          told(news.jobs, news.seen)
          for (const id of news.gone) stream.send('gone', String(last), JSON.stringify({ id }))
        },
      },
    )
    onEnd(leave)
  }
  onEnd(feed.watchCounts(counted))
}
