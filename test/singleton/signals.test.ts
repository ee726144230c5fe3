/** A signal at whatever moment of the loop: the process ends in order, and the lock is free. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sqlite } from 'errand/sqlite'
import { between, randomOf } from '../chaos/random.ts'
import { isFull } from '../full.ts'

/** How often each phase is struck: `ERRAND_FULL=1` for the long form. */
const times = isFull ? 30 : 4
const atOnce = 2
/** A lock that nobody frees lasts three times as long after the signal. */
const freeWithinMs = 10_000
const spreadMs = 60

const folder = await mkdtemp(join(tmpdir(), 'errand-signals-'))
after(() => rm(folder, { recursive: true }))
const file = join(folder, 'work.ts')
await writeFile(
  file,
  `import { singleton } from ${JSON.stringify(import.meta.resolve('../../src/index.ts'))}
console.log('loaded')
export const work = singleton({
  name: 'work',
  pause: '10s',
  liveness: [],
  run: async ({ signal }) => {
    console.log('running')
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, 80)
      signal.addEventListener('abort', () => { clearTimeout(timer); resolve(undefined) })
    })
    console.log('ended')
  },
})
`,
)

/** What the process says when a phase begins, and with which flags. */
const phases: Readonly<Record<string, readonly [marker: string, ...flags: string[]]>> = {
  'before the lock': ['loaded'],
  'while it takes the lock': ['taking'],
  'while it runs': ['running'],
  'between the end and the release': ['releasing'],
  'while it rests with the lock kept': ['ended', '--keep-lock'],
}

for (const [phase, [marker, ...flags]] of Object.entries(phases)) {
  test(`a signal ${phase} ends the process, with the lock freed`, async () => {
    const seed = `${phase} ${Date.now()}`
    const random = randomOf(seed)
    let done = 0
    const worker = async (): Promise<void> => {
      while (done < times) {
        const database = join(folder, `${phase.replaceAll(' ', '-')}-${done++}.db`)
        await strike(database, marker, flags, between(random, 0, spreadMs), seed)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
  })
}

async function strike(
  database: string,
  marker: string,
  flags: readonly string[],
  waitMs: number,
  seed: string,
): Promise<void> {
  const main = join(import.meta.dirname, '../../src/cli/main.ts')
  const lock = join(import.meta.dirname, 'slow-lock.ts')
  const args = ['run', `${file}#work`, '--lock', lock, ...flags]
  const child = spawn(process.execPath, ['--conditions=errand-source', main, ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, SLOW_LOCK_FILE: database, ERRAND_LOG_LEVEL: 'silent' },
  })
  try {
    await stopped(child, { database, marker, waitMs, seed })
  } finally {
    child.kill('SIGKILL')
  }
}

interface Stop {
  readonly database: string
  readonly marker: string
  readonly waitMs: number
  readonly seed: string
}

async function stopped(
  child: ChildProcessByStdio<null, Readable, null>,
  { database, marker, waitMs, seed }: Stop,
): Promise<void> {
  let told = ''
  await new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      told += text
      if (told.includes(marker)) resolve()
    })
    child.stdout.once('close', () => reject(new Error(`it ended before it was ${marker}: ${told}`)))
  })
  await sleep(waitMs)
  const at = performance.now()
  child.kill('SIGTERM')
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  const store = sqlite(database)
  try {
    assert.equal(await store.lockOwner('work'), null, `seed ${seed}: ${told}`)
  } finally {
    await store.close()
  }
  const tookMs = performance.now() - at
  assert.ok(tookMs < freeWithinMs, `seed ${seed}: free after ${Math.round(tookMs)} ms\n${told}`)
  // Before it listens for signals the process just ends.
  if (marker !== 'loaded') assert.deepEqual([code, signal], [0, null], `seed ${seed}: ${told}`)
}
