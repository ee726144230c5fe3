/** Definition apart from handler: runs the producer, then the worker, as two programs on one file. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folder = mkdtempSync(join(tmpdir(), 'errand-example-'))
for (const program of ['producer.ts', 'worker.ts']) {
  const path = join(import.meta.dirname, program)
  const args = [...process.execArgv, path, join(folder, 'errand.db')]
  process.stdout.write(execFileSync(process.execPath, args))
}
rmSync(folder, { recursive: true })

// Output:
// producer: created, has a handler: false
// worker: published <h1>home</h1>
