/** Prints what an idle worker costs: `node --conditions=errand-source test/idle/main.ts [seconds]`. */
import { measureIdle } from './measure.ts'

const seconds = Number(process.argv[2] ?? 60)
const idle = await measureIdle({ seconds, queues: 50, finished: 100_000 })
process.stdout.write(`${idle.table}
Idle for ${seconds} s, 50 queues, 100,000 finished jobs:
  CPU           ${idle.cpuPercent.toFixed(2)} %
  system calls  ${idle.callsPerSecond?.toFixed(1) ?? 'unknown'} per second
`)
const isWell = idle.cpuPercent < 1 && idle.callsPerSecond !== null && idle.callsPerSecond <= 100
process.exitCode = isWell ? 0 : 1
