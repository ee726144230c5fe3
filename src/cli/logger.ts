/** The log of a worker: pretty on a terminal, JSON otherwise. */
import { pino, type Logger } from 'pino'
import { visible } from '../core/shown.ts'
import { ownProcess } from '../loops/own-process.ts'
import { waitAtEnd } from './terminal.ts'

/** Fields that the message tells already. */
const toldByMessage = [
  'pid',
  'hostname',
  'task',
  'id',
  'queue',
  'queues',
  'attempt',
  'worker',
  'outcome',
  'durationMs',
  'againMs',
  'ranMs',
  'slots',
  'running',
  'clean',
  'part',
  'failures',
  'code',
  'why',
  'to',
]

/** Lines that nobody reads: what is beyond that is dropped. */
const mostHeldBytes = 16 * 2 ** 20

/** Makes the log; a name stands in each line. pino-pretty is loaded only where it is shown. */
export async function makeLogger(
  level: string,
  format: 'pretty' | 'json',
  name: string | null,
): Promise<Logger> {
  const options = { level, ...(name === null ? {} : { name }) }
  switch (format) {
    case 'json': {
      const stdout = pino.destination({
        dest: 1,
        sync: process.stdout.isTTY,
        maxLength: mostHeldBytes,
      })
      let isUnread = false
      stdout.on('error', (error: NodeJS.ErrnoException) => {
        // A terminal that was closed; SIGHUP tells what is to become of the work.
        if (error.code === 'EIO') return
        if (error.code !== 'EPIPE') throw error
        // Whoever read the log is gone: as if the terminal was closed, said once. A process of a
        // supervisor goes on until that says otherwise, or is gone as well.
        if (!isUnread && ownProcess() === null) process.kill(process.pid, 'SIGHUP')
        isUnread = true
      })
      waitAtEnd(() => writtenBy(stdout))
      return pino(options, stdout)
    }
    case 'pretty': {
      const { default: pretty } = await import('pino-pretty')
      return pino(
        options,
        pretty({
          sync: true,
          colorize: process.stdout.isTTY && process.stdout.hasColors(),
          translateTime: 'SYS:HH:MM:ss.l',
          ignore: toldByMessage.join(','),
          errorLikeObjectKeys: [],
          customPrettifiers: { err: (error) => framesOf(error) },
        }),
      )
    }
  }
}

/** How long the end of the process waits for a reader of its log. */
const longestMs = 2_000

/** Resolves once a log has written its last line, which a plain exit would lose when it is under way. */
function writtenBy(log: ReturnType<typeof pino.destination>): Promise<void> {
  return new Promise((resolve) => {
    log.once('close', resolve)
    setTimeout(resolve, longestMs)
    log.end()
  })
}

/** The frames of an error in the user's own files; its message is told already. */
function framesOf(error: unknown): string {
  const stack =
    typeof error === 'object' && error !== null && 'stack' in error ? String(error.stack) : ''
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line))
  const own = frames.filter((line) => !/node_modules|node:internal/.test(line))
  return (own.length > 0 ? own : frames).map((line) => visible(line.trim())).join('\n         ')
}
