/** Turns events into log lines. */
import { formatMs } from '../core/duration.ts'
import type { LogLevel } from '../core/job.ts'
import { messageOf } from '../core/kept-error.ts'
import { readShape } from '../core/read.ts'
import { inLine } from '../core/shown.ts'
import type { EventHub } from './events.ts'

/**
 * Anything with level methods, such as pino, winston or the console; or one function that takes a
 * line.
 */
export type Log =
  | { readonly [level in LogLevel]: (fields: object, message: string) => void }
  | ((line: string) => void)

const levels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

/** Refuses what takes no lines. Throws `invalid-option`. */
export function readLog(log: Log, where: string): Log {
  const needs = `a function of a line, or have the methods ${levels.join(', ')}, as console and pino do`
  return typeof log === 'function' ? log : readShape(log, levels, where, needs)
}

type Write = (level: LogLevel, message: string, fields: object) => void

/**
 * Writes a line at the start and the end of each run, and for whatever a person should see. The
 * answer unsubscribes.
 */
export function logEvents(events: Pick<EventHub, 'on'>, log: Log): () => void {
  const write = writerOf(log)
  const stops = [
    events.on('run-started', ({ task, id, attempt, worker, queue }) =>
      write('info', `${task} ${id} started`, { task, id, queue, attempt, worker }),
    ),
    events.on(
      'run-ended',
      ({ task, id, attempt, worker, queue, outcome, durationMs, error, againMs }) => {
        const level =
          outcome === 'failed'
            ? 'error'
            : outcome === 'retry' || outcome === 'stale'
              ? 'warn'
              : 'info'
        const why = error === undefined ? '' : `: ${messageOf(error)}`
        const next = againMs === null ? '' : `, again in ${formatMs(againMs)}`
        write(level, `${task} ${id} ${outcome} after ${formatMs(durationMs)}${why}${next}`, {
          task,
          id,
          queue,
          attempt,
          worker,
          outcome,
          durationMs,
          ...(error === undefined ? {} : { err: error }),
        })
      },
    ),
    events.on('job-rescued', (event) =>
      write('warn', `${event.task} ${event.id} was ${event.why}, now ${event.to}`, event),
    ),
    events.on('job-unknown', (event) =>
      write(
        'warn',
        `${event.task} ${event.id} is of a task or codec that this worker does not know, looked at again in ${formatMs(event.againMs)}`,
        event,
      ),
    ),
    events.on('run-stuck', (event) =>
      write(
        'error',
        `${event.task} ${event.id} ignores its abort after ${formatMs(event.ranMs)}; its slot stays taken`,
        event,
      ),
    ),
    events.on('worker-started', (event) =>
      write(
        'info',
        `worker ${event.worker} started: ${event.slots} slots on ${event.queues.join(', ')}`,
        event,
      ),
    ),
    events.on('worker-paused', (event) =>
      write('info', `worker ${event.worker} claims nothing: ${event.reasons.join(', ')}`, event),
    ),
    events.on('worker-resumed', (event) =>
      write('info', `worker ${event.worker} claims again`, event),
    ),
    events.on('worker-ending', (event) => {
      const by = event.by === null ? '' : ` by ${inLine(event.by)}`
      const note = event.note === null ? '' : `: ${inLine(event.note)}`
      write('info', `worker ${event.worker} is ended: ${event.why}${by}${note}`, event)
    }),
    events.on('worker-stopping', (event) =>
      write('info', `worker ${event.worker} stops, ${event.running} running`, event),
    ),
    events.on('worker-stopped', (event) => write('info', `worker ${event.worker} stopped`, event)),
    events.on('part-failed', ({ part, error, againMs }) =>
      write(
        'error',
        `${part} failed: ${messageOf(error)}${againMs === null ? '' : `; again in ${formatMs(againMs)}`}`,
        { part, err: error },
      ),
    ),
    events.on('part-recovered', ({ part, failures }) =>
      write('info', `${part} works again after ${failures} failures`, { part, failures }),
    ),
    events.on('singleton-waiting', (event) => {
      const { owner } = event
      const who = owner === null ? 'somebody' : `${owner.host}, process ${owner.pid ?? 'unknown'},`
      write('info', `${event.singleton} waits: ${who} has its lock`, event)
    }),
    events.on('singleton-log', ({ singleton, level, text, fields }) =>
      write(level, text, { singleton, ...fields }),
    ),
    events.on('singleton-ended', ({ singleton, status, durationMs, error }) => {
      const level = status === 'failed' || status === 'interrupted' ? 'error' : 'info'
      const why = error === null ? '' : `: ${messageOf(error)}`
      const line = `${singleton} ${status} after ${formatMs(durationMs)}${why}`
      write(level, line, {
        singleton,
        status,
        durationMs,
        ...(error === null ? {} : { err: error }),
      })
    }),
    events.on('source-connected', ({ source }) =>
      write('info', `source ${source} connected`, { source }),
    ),
    events.on('message-parked', ({ source, queue, job, error }) =>
      write('warn', `a message of ${queue} was parked as job ${job}: ${messageOf(error)}`, {
        source,
        queue,
        job,
        err: error,
      }),
    ),
    events.on('request-ended', ({ isProbe, ...event }) => {
      const { method, route, status, durationMs } = event
      const level = status >= 500 ? 'error' : isProbe ? 'debug' : 'info'
      write(level, `${method} ${route ?? '?'} ${status} after ${formatMs(durationMs)}`, event)
    }),
    events.on('warning', ({ code, message }) => write('warn', message, { code })),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}

/**
 * Names and errors come from elsewhere: what they hold must not pass for lines of its own, or reach
 * a terminal as commands.
 */
export function writerOf(log: Log): Write {
  if (typeof log === 'function') return (_level, message) => log(inLine(message))
  return (level, words, fields) => {
    const message = inLine(words)
    try {
      log[level](fields, message)
    } catch (error) {
      if (!('err' in fields)) throw error
      // Whatever a handler threw: loggers look deep into errors, and some values throw at a look.
      log[level]({ ...fields, err: { message: messageOf(fields.err) } }, message)
    }
  }
}
