/** How soon `errand worker` runs its first job: from the start of the process to the start of the handler. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openApp } from '../kit/app.ts'
import { mail } from '../kit/job.ts'
import { ticks, until } from '../kit/ticks.ts'
import { atMost, row } from '../row.ts'
import type { Figures, Setting, Workload } from '../workload.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const command = join(root, 'dist/cli/main.js')

const config = `
import { writeFileSync, renameSync } from 'node:fs'
import { createErrand, task } from 'errand'
import { sqlite } from 'errand/sqlite'

const mail = task({
  name: 'mail',
  run: (input: { id: number }) => {
    const [seconds, nanoseconds] = process.hrtime()
    writeFileSync('started.new', String(seconds * 1_000 + nanoseconds / 1_000_000))
    renameSync('started.new', 'started')
    return { ok: input.id }
  },
})

export default createErrand({ store: sqlite('errand.db'), tasks: [mail] })
`

async function started(setting: Setting): Promise<Figures> {
  const { folder } = setting
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules/errand'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'errand.config.ts'), config)
  const app = openApp(setting)
  const job = await app.errand.enqueue(app.task, mail(7))

  const since = ticks()
  const worker = spawn(process.execPath, [command, 'worker', '--log-level', 'error'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const noted = join(folder, 'started')
  try {
    await until(() => existsSync(noted), 'the first job of errand worker', 10_000)
    const output = await job.result()
    if (output.ok !== 7) throw new Error('the job has the result of another')
  } finally {
    worker.kill('SIGTERM')
    if (worker.exitCode === null) await once(worker, 'exit')
    await app.errand.close()
  }
  return { ms: Number(readFileSync(noted, 'utf8')) - since }
}

export const start: Workload = {
  name: 'start',
  title: 'Start of `errand worker`',
  durabilities: ['process'],
  obstacle: () => (existsSync(command) ? null : 'needs `npm run build` first'),
  cases: { start: started },
  rows: (measured) => [
    row('process start to first job', 'ms', measured('start', 'ms'), atMost(400)),
  ],
}
