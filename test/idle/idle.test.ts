import assert from 'node:assert/strict'
import { test } from 'node:test'
import { measureIdle } from './measure.ts'

test(
  'an idle worker with 50 queues and many finished jobs hardly uses the machine',
  { timeout: 60_000 },
  async (t) => {
    const idle = await measureIdle({ seconds: 8, queues: 50, finished: 10_000 })
    t.diagnostic(
      `${idle.cpuPercent.toFixed(2)} % CPU, ${idle.callsPerSecond?.toFixed(1) ?? 'unknown'} system calls per second`,
    )
    assert.ok(idle.cpuPercent < 2, `${idle.cpuPercent} % CPU`)
    if (idle.callsPerSecond === null) return t.diagnostic(idle.table)
    assert.ok(
      idle.callsPerSecond <= 100,
      `${idle.callsPerSecond} system calls per second\n${idle.table}`,
    )
  },
)
