/** The log of a worker: pretty on a terminal, JSON otherwise. */
import { pino, type Logger } from 'pino'
import { visible } from '../core/shown.ts'

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

/** Makes the log. pino-pretty is loaded only where it is shown. */
export async function makeLogger(level: string, format: 'pretty' | 'json'): Promise<Logger> {
  switch (format) {
    case 'json': {
      const stdout = pino.destination({ dest: 1, sync: process.stdout.isTTY })
      stdout.on('error', (error: NodeJS.ErrnoException) => {
        // A terminal that was closed; SIGHUP tells what is to become of the work.
        if (error.code !== 'EIO') throw error
      })
      return pino({ level }, stdout)
    }
    case 'pretty': {
      const { default: pretty } = await import('pino-pretty')
      return pino(
        { level },
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

/** The frames of an error in the user's own files; its message is told already. */
function framesOf(error: unknown): string {
  const stack =
    typeof error === 'object' && error !== null && 'stack' in error ? String(error.stack) : ''
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line))
  const own = frames.filter((line) => !/node_modules|node:internal/.test(line))
  return (own.length > 0 ? own : frames).map((line) => visible(line.trim())).join('\n         ')
}
