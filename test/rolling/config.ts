/** The configuration of the processes: handlers that note each of their runs in a ledger outside the store. */
import { appendFileSync } from 'node:fs'
import { createErrand, task } from 'errand'
import { openStore } from '../../src/cli/open-store.ts'
import { leaseMs, ledgerVariable, type Line, type Work } from './work.ts'

const ledger = process.env[ledgerVariable] ?? ''

const work = task({
  name: 'work',
  losses: 10,
  run: async ({ n, ms }: Work, { id, attempt, token }) => {
    const note = (what: Line['what']): void => {
      const line: Line = { what, id, n, attempt, token, pid: process.pid }
      appendFileSync(ledger, `${JSON.stringify(line)}\n`)
    }
    note('start')
    await new Promise((resolve) => setTimeout(resolve, ms))
    note('end')
    return n
  },
})

// oxlint-disable-next-line import/no-default-export -- what a configuration is
export default createErrand({
  store: await openStore(process.env['ERRAND_STORE'] ?? ''),
  tasks: [work],
  lease: leaseMs,
  slots: 5,
})
