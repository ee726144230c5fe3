/** Isolated processes whose worker is gone. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { suite, test } from 'node:test'
import { until } from './harness.ts'

suite('the worker of an isolated process is killed', { concurrency: true }, () => {
  // Each says its pid by its progress, and that of a process that it has started.
  for (const [handler, what] of [
    ['loopsAsOrphan', 'while its handler loops for ever'],
    ['waitsAsOrphan', 'while its handler waits, and ignores its abort'],
  ] as const) {
    test(`${what}: nothing of it is left`, { timeout: 180_000 }, async (t) => {
      const parent = spawn(
        process.execPath,
        ['--conditions=errand-source', join(import.meta.dirname, 'parent.ts'), handler],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )
      t.after(() => parent.kill('SIGKILL'))
      const [said] = (await once(createInterface(parent.stdout), 'line')) as [string]
      const pids = said.split(' ').map(Number)
      assert.equal(pids.length, 2)
      assert.ok(pids.every(isAlive), `${said} should run`)
      parent.kill('SIGKILL')
      await until(() => !pids.some(isAlive))
    })
  }
})

/** Whether a process runs: neither gone nor a zombie that nobody has reaped yet. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
