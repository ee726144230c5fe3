/** Schedules: when jobs come, and what operators change about it. */
import { jobStates } from '../../core/job.ts'
import type { ScheduleInfo } from '../../flows/schedules/info.ts'
import { mayTouch } from '../caller.ts'
import { Problem } from '../problem.ts'
import { readTime, readTimes } from '../read.ts'
import { json, type Route, type RouteCall } from '../route.ts'
import {
  count,
  flag,
  idSchema,
  list,
  object,
  problemAnswer,
  text,
  textOrNull,
  time,
  timeOrNull,
  timeParameter,
} from '../schemas.ts'

const scheduleSchema = object({
  name: text,
  when: text,
  task: textOrNull,
  queue: textOrNull,
  overlap: { enum: ['allow', 'skip', 'queue-one', 'queue', 'cancel'] },
  owner: text,
  edited: flag,
  declared: flag,
  paused: { oneOf: [object({ at: time, note: text }), { type: 'null' }] },
  next: timeOrNull,
  fired: count,
  last: list(
    object({
      plannedAt: time,
      firedAt: time,
      job: textOrNull,
      state: { enum: [...jobStates, 'skipped', 'gone', 'called'] },
    }),
  ),
  lagMs: { type: 'number', minimum: 0 },
})

const noSchedule = problemAnswer('No such schedule.')
const done = { description: 'Done.' }

export const scheduleRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/schedules',
    id: 'listSchedules',
    summary: 'See all schedules with their next and last ticks.',
    tag: 'schedules',
    scopes: ['read'],
    answers: {
      200: { description: 'By name.', schema: object({ schedules: list(scheduleSchema) }) },
    },
    async handle(call) {
      const schedules = await call.errand.schedules.list()
      return json({ schedules: schedules.filter((one) => isVisible(call, one)) })
    },
  },
  {
    method: 'GET',
    path: '/v1/schedules/{schedule}',
    id: 'getSchedule',
    summary: 'See one schedule.',
    tag: 'schedules',
    scopes: ['read'],
    answers: { 200: { description: 'The schedule.', schema: scheduleSchema }, 404: noSchedule },
    async handle(call) {
      return json(await find(call))
    },
  },
  {
    method: 'GET',
    path: '/v1/schedules/{schedule}/next',
    id: 'getNextTicks',
    summary: 'See the planned times of a schedule.',
    tag: 'schedules',
    scopes: ['read'],
    query: {
      from: timeParameter('After this time. Default: now.'),
      count: {
        schema: { type: 'integer', minimum: 1, maximum: 1_000 },
        description: 'How many. Default 5.',
      },
    },
    answers: {
      200: { description: 'The times.', schema: object({ times: list(time) }) },
      404: noSchedule,
    },
    async handle(call) {
      const name = await nameOf(call)
      const { query } = call
      const count = (query['count'] as number | undefined) ?? 5
      const times = await call.errand.schedules.next(name, { count, ...readTimes(query, ['from']) })
      return json({ times })
    },
  },
  {
    method: 'POST',
    path: '/v1/schedules/{schedule}/pause',
    id: 'pauseSchedule',
    summary: 'Keep a schedule from firing.',
    tag: 'schedules',
    scopes: ['operate'],
    body: object({ note: text }, ['note']),
    answers: { 204: done, 404: noSchedule },
    async handle(call) {
      const { note } = (call.body ?? {}) as { readonly note?: string }
      await call.errand.schedules.pause(await nameOf(call), note)
      return new Response(null, { status: 204 })
    },
  },
  {
    method: 'POST',
    path: '/v1/schedules/{schedule}/resume',
    id: 'resumeSchedule',
    summary: 'Let a schedule fire again, from now on.',
    tag: 'schedules',
    scopes: ['operate'],
    answers: { 204: done, 404: noSchedule },
    async handle(call) {
      await call.errand.schedules.resume(await nameOf(call))
      return new Response(null, { status: 204 })
    },
  },
  {
    method: 'POST',
    path: '/v1/schedules/{schedule}/trigger',
    id: 'triggerSchedule',
    summary: 'Fire a schedule once, now, beside its ticks.',
    tag: 'schedules',
    scopes: ['operate'],
    answers: {
      201: {
        description: 'Its job; with an `overlap` that leaves it out, the one in its way.',
        schema: object({ id: idSchema }),
      },
      404: noSchedule,
    },
    async handle(call) {
      const id = await call.errand.schedules.trigger(await nameOf(call))
      return json({ id }, 201, { location: `/v1/jobs/${id}` })
    },
  },
  {
    method: 'POST',
    path: '/v1/schedules/{schedule}/backfill',
    id: 'backfillSchedule',
    summary: 'Add the jobs of past ticks that have none, at most 1,000.',
    tag: 'schedules',
    scopes: ['operate'],
    body: object({ from: time, to: time }),
    answers: {
      201: { description: 'Their jobs.', schema: object({ ids: list(idSchema) }) },
      404: noSchedule,
    },
    async handle(call) {
      const { from, to } = call.body as { readonly from: string; readonly to: string }
      const range = { from: readTime(from, 'from'), to: readTime(to, 'to') }
      if (range.to <= range.from)
        throw new Problem('invalid-option', '`to` must be later than `from`.')
      const ids = await call.errand.schedules.backfill(await nameOf(call), range)
      return json({ ids }, 201)
    },
  },
  {
    method: 'DELETE',
    path: '/v1/schedules/{schedule}',
    id: 'removeSchedule',
    summary: 'Forget a schedule that no living code declares. Its jobs stay.',
    tag: 'schedules',
    scopes: ['operate'],
    answers: { 204: done, 404: noSchedule },
    async handle(call) {
      await call.errand.schedules.remove(await nameOf(call))
      return new Response(null, { status: 204 })
    },
  },
]

/** One that calls a function concerns no queue in particular. */
function isVisible({ caller }: RouteCall, { queue }: ScheduleInfo): boolean {
  return caller.queues === null || (queue !== null && mayTouch(caller, queue))
}

async function find(call: RouteCall): Promise<ScheduleInfo> {
  const { schedule: name = '' } = call.params
  // Its nearest name is shown to those who may see all of them.
  const found =
    call.caller.queues === null
      ? await call.errand.schedules.get(name)
      : (await call.errand.schedules.list()).find((one) => one.name === name)
  if (found !== undefined && isVisible(call, found)) return found
  throw new Problem('unknown-schedule', 'No schedule of that name is known.')
}

/** The name of a schedule that the caller may touch. */
async function nameOf(call: RouteCall): Promise<string> {
  if (call.caller.queues === null) return call.params['schedule'] ?? ''
  return (await find(call)).name
}
