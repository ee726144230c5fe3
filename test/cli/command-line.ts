/** Runs the real command as a child process, in folders of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { TestContext } from 'node:test'
import { endsWithThis } from '../ends.ts'

export const root = resolve(import.meta.dirname, '../..')

const main = join(root, 'src/cli/main.ts')
/** A busy machine takes its time to start several processes. */
const mostMs = 180_000

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface RunOptions {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

/** A command that runs. */
export interface Running {
  readonly pid: number
  readonly kill: (signal: NodeJS.Signals) => void
  /** Resolves once stdout has shown a text. Rejects when it ends before. */
  readonly shown: (wanted: string) => Promise<void>
  /** What it has written to stdout so far. */
  readonly written: () => string
  /** Closes the pipes that its output goes to. */
  readonly deafen: () => void
  readonly ended: Promise<Ended>
}

/** Starts `errand` with the given arguments. */
export function start(args: readonly string[], options: RunOptions): Running {
  return startNode(['--conditions=errand-source', main, ...args], options)
}

/** Runs `errand` to its end. */
export async function errand(args: readonly string[], options: RunOptions): Promise<Ended> {
  return start(args, options).ended
}

/** Starts Node, gathering what it writes; one that hangs is killed. */
export function startNode(
  args: readonly string[],
  { cwd, env = {}, input = '' }: RunOptions,
): Running {
  const child = endsWithThis(spawn(process.execPath, args, { cwd, env: cleanEnvironment(env) }))
  const late = setTimeout(() => child.kill('SIGKILL'), mostMs)
  const written = { stdout: '', stderr: '' }
  const looks = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      written[name] += chunk
      for (const look of looks) look()
    })
  }
  // A child that ends before it has read its input is no failure of the test's.
  child.stdin.on('error', () => undefined).end(input)
  const ended = once(child, 'close').then(([code]) => {
    clearTimeout(late)
    return { code: code as number | null, ...written }
  })
  const shown = async (wanted: string): Promise<void> => {
    const seen = new Promise<void>((resolve) => {
      const look = (): void => void (written.stdout.includes(wanted) && resolve())
      looks.add(look)
      look()
    })
    const tooLate = ended.then(({ stdout, stderr }) => {
      if (!stdout.includes(wanted))
        throw new Error(`It ended before it wrote ${wanted}: ${stdout}${stderr}`)
    })
    await Promise.race([seen, tooLate])
  }
  return {
    pid: child.pid ?? 0,
    kill: (signal) => void child.kill(signal),
    shown,
    written: () => written.stdout,
    deafen: () => {
      child.stdout.destroy()
      child.stderr.destroy()
    },
    ended,
  }
}

/** Makes a folder with the given files, in which `errand` and `zod` can be imported. */
export async function makeProject(
  context: TestContext,
  files: Readonly<Record<string, string>> = {},
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-cli-'))
  context.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))
  await mkdir(join(folder, 'node_modules'))
  await symlink(root, join(folder, 'node_modules/errand'))
  await symlink(join(root, 'node_modules/zod'), join(folder, 'node_modules/zod'))
  for (const [name, content] of Object.entries({ 'package.json': '{"type":"module"}', ...files })) {
    const path = join(folder, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, content)
  }
  return folder
}

/** A configuration with the tasks that these tests need. */
export const configText = `
import { createErrand, task, Discard } from 'errand'
import { sqlite } from 'errand/sqlite'
import * as z from 'zod'

export const add = task({
  name: 'add',
  input: z.object({ a: z.number(), b: z.number() }),
  run: ({ a, b }) => ({ sum: a + b }),
})
export const boom = task({
  name: 'boom',
  retry: 'never',
  run: () => { throw new TypeError('it broke\\nbadly') },
})
export const skip = task({ name: 'skip', run: () => { throw new Discard('nothing to do') } })
export const slow = task({
  name: 'slow',
  queue: 'slow',
  async run(_input: undefined, job) {
    job.log.info('began')
    job.progress({ done: 1 })
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    return 'done'
  },
})
export const hang = task({
  name: 'hang',
  queue: 'slow',
  run: (_input: undefined, job) => new Promise((_resolve, reject) => {
    job.signal.addEventListener('abort', () => reject(job.signal.reason))
  }),
})

export default createErrand({
  store: sqlite('errand.db'),
  tasks: [add, boom, skip, slow, hang],
  queues: { mail: { slots: 1 } },
})
`

function cleanEnvironment(added: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const environment = Object.entries(process.env).filter(
    ([name]) =>
      !name.startsWith('ERRAND_') && name !== 'NODE_TEST_CONTEXT' && name !== 'NODE_OPTIONS',
  )
  return { ...Object.fromEntries(environment), NO_COLOR: '1', ...added }
}
