/** The calls of the contract, made at a manager. What could not be stored is refused here, before JSON makes something else of it. */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import { ErrandError } from '../../core/errors.ts'
import type { InsertOptions } from '../../store/intake.ts'
import { calls, type CallName } from '../../store/calls.ts'
import type { NewJob } from '../../store/job.ts'
import type { HoldRequest } from '../../store/locks.ts'
import {
  usualStepWeight,
  type Connector,
  type Store,
  type StoreInfo,
  type Warning,
} from '../../store/store.ts'
import type { ClaimRequest, LeaseRef, Note, Settlement } from '../../store/worker-calls.ts'
import {
  checkAdvances,
  checkHold,
  checkJobs,
  checkLease,
  checkNotes,
  checkSettlements,
  withLease,
} from '../bounds.ts'
import type { Connection } from './connection.ts'
import type { HintStream } from './hint-stream.ts'

/**
 * How long a lease of a claim lasts before it is renewed for the first time: if the answer is lost and not asked for again, its jobs
 * are free again soon.
 */
const firstLeaseMs = 10_000

/** The longest first try of a claim, so that its repeat finds most of the lease left. */
const claimTryMs = 2_500

/** Bounds of the first try of a renewal, a sixth of its lease: one that is lost must leave the way free for the next. */
const renewTryMs = { least: 1_000, most: 4_000 } as const

export interface HttpStoreParts {
  readonly connection: Connection
  readonly hints: HintStream
  readonly clock: Clock
  readonly connector: Connector | null
  /** Warnings of the client's own. */
  readonly warnings: readonly Warning[]
}

export function httpStore(parts: HttpStoreParts): Store {
  const { connection, hints, clock, connector } = parts
  const call = <Name extends CallName>(
    name: Name,
    args: readonly unknown[],
    firstTryMs?: number,
  ): ReturnType<Store[Name]> => connection.call(name, args, firstTryMs) as ReturnType<Store[Name]>
  const plain = Object.fromEntries(
    Object.keys(calls).map((name) => [
      name,
      async (...args: readonly unknown[]) => connection.call(name as CallName, args),
    ]),
  ) as unknown as Pick<Store, CallName>
  let told: Pick<StoreInfo, 'durability' | 'serial' | 'stepWeight'> = {
    durability: 'that of the manager',
  }
  const setup = async (): Promise<void> => {
    const answer = (await connection.ask('/v1/store/info', [])) as StoreInfo
    told = {
      durability: answer.durability,
      ...(answer.serial === undefined ? {} : { serial: answer.serial }),
      ...(answer.stepWeight === undefined ? {} : { stepWeight: answer.stepWeight }),
    }
  }
  return {
    ...plain,
    info: {
      kind: 'http',
      location: connection.location,
      get durability() {
        return told.durability
      },
      get serial() {
        return told.serial ?? false
      },
      get stepWeight() {
        return told.stepWeight ?? usualStepWeight
      },
      firstLeaseMs,
    },
    clock,
    connector,
    setup,
    async warnings(how) {
      const answer = await connection.ask('/v1/store/warnings', [how])
      return [...parts.warnings, ...(answer as readonly Warning[])]
    },
    async close() {
      hints.close()
      connection.close()
    },
    watch(on) {
      if (connection.isClosed)
        throw new ErrandError('closed', `The store at ${connection.location} is closed.`)
      return hints.watch(on)
    },

    async insert(jobs: readonly NewJob[], { tx, advance }: InsertOptions = {}) {
      refuseTx(tx)
      checkJobs(jobs, clock.now())
      checkAdvances(jobs, advance ?? [])
      return call('insert', advance === undefined ? [jobs] : [jobs, { advance }])
    },
    async claim(request: ClaimRequest) {
      const { leaseMs } = withLease(request)
      const repeatable = request.id === null ? { ...request, id: randomUUID() } : request
      return call('claim', [repeatable], Math.max(100, Math.min(claimTryMs, leaseMs / 4)))
    },
    async settle(settlements: readonly Settlement[], tx?: unknown) {
      refuseTx(tx)
      checkSettlements(settlements, clock.now())
      return call('settle', [settlements])
    },
    async renew(leases: readonly LeaseRef[], leaseMs: number) {
      checkLease(leaseMs)
      const firstTryMs = Math.min(renewTryMs.most, Math.max(renewTryMs.least, leaseMs / 6))
      return call('renew', [leases.map(({ id, token }) => ({ id, token })), leaseMs], firstTryMs)
    },
    async note(notes: readonly Note[]) {
      checkNotes(notes)
      return call('note', [notes])
    },
    async rescue(request) {
      return call('rescue', [withLease(request)])
    },
    async hold(request: HoldRequest) {
      checkHold(request)
      return call('hold', [request])
    },
  }
}

function refuseTx(tx: unknown): void {
  if (tx === undefined) return
  throw new ErrandError(
    'tx-unsupported',
    'A manager takes part in no transaction of yours: insert and settle take no tx over HTTP.',
  )
}
