/** What must be true of runs that have ended, from what the store says and what their nodes wrote in a ledger. */
import { readFileSync } from 'node:fs'
import type { JobRecord } from '../../src/client/job-record.ts'
import type { WorkflowNode } from '../../src/flows/workflows/runs.ts'
import { checkBlocked } from '../../src/client/checks/blocked.ts'
import { followUpId } from '../../src/core/id.ts'
import { isFinal } from '../../src/core/job.ts'
import type { Errand } from '../../src/index.ts'
import type { Line, NodeInput, NodeOutput, Run } from './flow.ts'

/** What may excuse a node, and what must have been. */
export interface Known {
  readonly ledger: string
  /** Jobs of which somebody asked that they end. */
  readonly cancelled: ReadonlySet<string>
  /** Jobs that had completed before a retry of their runs; empty before any. */
  readonly before: ReadonlySet<string>
  /** Whether all that fails has been retried, and ends well. */
  readonly isHealed: boolean
}

/** How far times of two ends may be off, in ms: a start is told by how long ago it was. */
const slackMs = 25

/** Returns what is wrong, in words. */
export async function wrongsOf(
  errand: Errand,
  runs: readonly Run[],
  known: Known,
): Promise<readonly string[]> {
  const wrong: string[] = []
  const lines = readLines(known.ledger)
  let jobs = 0
  for (const run of runs) {
    const all = await recordsOf(errand, run.id)
    const nodes = await errand.workflows.nodes(run.id)
    jobs += all.size
    if (nodes.length === 0) wrong.push(`run ${run.id} is not known`)
    for (const one of nodes) {
      const said = wrongOf({ run, node: one, all, nodes, lines, known })
      wrong.push(
        ...said.map((text) => `run ${run.seed}, node ${one.name || 'end'} ${one.id}: ${text}`),
      )
    }
  }
  wrong.push(...(await driftOf(errand, jobs)), ...(await blockedForEver(errand)))
  return wrong
}

/** What `doctor` says of blocked jobs, if that is not well. */
export async function blockedForEver(errand: Errand): Promise<readonly string[]> {
  const findings = await checkBlocked(errand)
  return findings.filter(({ status }) => status !== 'ok').map(({ text }) => `doctor: ${text}`)
}

interface Look {
  readonly run: Run
  readonly node: WorkflowNode
  readonly nodes: readonly WorkflowNode[]
  readonly all: ReadonlyMap<string, JobRecord>
  readonly lines: ReadonlyMap<string, ReadonlySet<Line['kind']>>
  readonly known: Known
}

function wrongOf(look: Look): readonly string[] {
  const { node, all, known } = look
  const job = all.get(node.id)
  if (job === undefined) return ['it is listed, and not known']
  if (!isFinal(job.state)) return [`it is ${job.state}`]
  if (known.isHealed && job.state !== 'completed')
    return [`it is ${job.state} after its retry: ${job.reason}`]
  return node.isEnd ? wrongEnd(look, job) : wrongNode(look, job)
}

/** The end of a run, or of one within it, says how its nodes ended. */
function wrongEnd({ run, node, nodes, known }: Look, job: JobRecord): readonly string[] {
  if (known.cancelled.has(job.id) || known.before.has(job.id)) return []
  const scope = node.id === run.id ? '' : `${node.name}/`
  const isMember = ({ id, name }: WorkflowNode): boolean =>
    id !== node.id && name.startsWith(scope) && !name.slice(scope.length).includes('/')
  const bad = nodes.filter((one) => isMember(one) && one.state !== 'completed')
  const needed = nodes.filter(({ isEnd }) => !isEnd).flatMap(({ needs }) => needs)
  const mayFail = (id: string): boolean => {
    const edges = needed.filter((need) => need.id === id)
    return edges.length > 0 && edges.every(({ onFailed }) => onFailed === 'run')
  }
  const expected = bad.every(({ id }) => mayFail(id)) ? 'completed' : 'failed'
  const wrong = job.state === expected ? [] : [`it is ${job.state}, and should be ${expected}`]
  const late = nodes.filter((one) => isMember(one) && isAfter(one.finishedAt, job.startedAt))
  return [...wrong, ...late.map(({ name }) => `it ran before ${name} had ended`)]
}

function wrongNode(look: Look, job: JobRecord): readonly string[] {
  const { node, all, known, lines } = look
  const { fate } = job.input as NodeInput
  const stateOf = (id: string): string => all.get(id)?.state ?? 'unknown'
  const held = heldBackBy(look).map(({ id }) => ({ id, onFailed: 'cancel' as const }))
  const needs = [...node.needs, ...held]
  const unmet = needs.filter(
    ({ id, onFailed }) => onFailed !== 'run' && stateOf(id) !== 'completed',
  )
  const has = (kind: Line['kind']): boolean => lines.get(job.id)?.has(kind) === true
  const isExcused = known.cancelled.has(job.id)
  const wrong: string[] = []
  if (unmet.length > 0 && has('began')) wrong.push(`it ran without ${unmet[0]?.id}`)
  switch (job.state) {
    case 'completed':
      if (!has('did')) wrong.push('it completed, and its effect is missing')
      wrong.push(...wrongTimes(look, job), ...wrongSum(look, job))
      break
    case 'failed':
    case 'cancelled':
    case 'discarded': {
      const how = job.state === 'cancelled' ? 'cancel' : 'fail'
      const isForNeed = unmet.some(({ onFailed }) => onFailed === how)
      const isMeant =
        job.reason === 'need-failed'
          ? isForNeed
          : job.state === 'discarded'
            ? fate === 'discards'
            : job.state === 'failed' &&
              (fate === 'fails' || node.needs.some(({ id }) => stateOf(id) !== 'completed'))
      if (!isMeant && !isExcused)
        wrong.push(
          `it is ${job.state} (${job.reason}), and its needs: ${needs.map(({ id, onFailed }) => `${onFailed}/${stateOf(id)}`).join(', ')}`,
        )
      if (unmet.length > 0 && job.reason !== 'need-failed' && !isExcused)
        wrong.push(`its reason is ${job.reason}`)
      break
    }
    case 'blocked':
    case 'scheduled':
    case 'ready':
    case 'running':
      wrong.push(`it is ${job.state}`)
  }
  const parent = job.parent === null ? null : all.get(job.parent)
  if (parent && parent.state !== 'completed')
    wrong.push('an attempt that did not complete added it')
  return wrong
}

/** A node starts after all that it waits for, also what was added before it. */
function wrongTimes(look: Look, job: JobRecord): readonly string[] {
  const { node, all, known } = look
  if (known.before.has(job.id)) return []
  const early = node.needs.filter(({ id }) => isAfter(all.get(id)?.finishedAt, job.startedAt))
  return [
    ...early.map(({ id }) => `it ran before ${id} had ended`),
    ...heldBackBy(look)
      .filter(({ finishedAt }) => isAfter(finishedAt, job.startedAt))
      .map(({ id }) => `it ran before ${id}, which was added before it, had ended`),
  ]
}

/** Jobs that others added for a node to wait for. */
function heldBackBy({ run, node, nodes, all }: Look): readonly JobRecord[] {
  // Added nodes are named for the one that added them, and wait beside it.
  const scopeOf = (name: string): string => name.slice(0, name.lastIndexOf('/') + 1)
  const scope = scopeOf(node.name)
  return nodes
    .filter(({ name }) => name.includes('+') && scopeOf(name) === scope)
    .flatMap(({ id }) => all.get(id) ?? [])
    .filter(({ input }) => {
      const { holds } = input as NodeInput
      return holds !== null && followUpId(run.id, 0, `node/${scope}${holds}`) === node.id
    })
}

function wrongSum({ all }: Look, job: JobRecord): readonly string[] {
  const { sums } = job.input as { readonly sums: readonly unknown[] }
  const referred = sums.map((one) => {
    const id = idIn(one)
    return id === null ? 0 : (all.get(id)?.output as NodeOutput | null)?.sum
  })
  if (referred.includes(undefined)) return ['it was handed what did not complete']
  const expected = 1 + (referred as number[]).reduce((a, b) => a + b, 0)
  const { sum } = job.output as NodeOutput
  return sum === expected ? [] : [`its output is ${sum}, and should be ${expected}`]
}

/** The job that a reference in a stored input names. */
function idIn(reference: unknown): string | null {
  const found = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(JSON.stringify(reference))
  return found?.[0] ?? null
}

function isAfter(end: Date | null | undefined, start: Date | null): boolean {
  if (!end || start === null) return false
  return end.getTime() > start.getTime() + slackMs
}

/** Counters agree with what is there, and nothing is there beside the runs. */
async function driftOf({ store, jobs }: Errand, expected: number): Promise<readonly string[]> {
  const counted = (await store.counts()).reduce((sum, { count }) => sum + count, 0)
  const open = (await jobs.counts()).filter(({ state, count }) => !isFinal(state) && count > 0)
  return [
    ...(counted === expected ? [] : [`${counted} jobs are counted, and there are ${expected}`]),
    ...open.map(({ queue, state, count }) => `${count} jobs are counted as ${state} in ${queue}`),
  ]
}

export async function recordsOf(
  { jobs }: Errand,
  group: string,
): Promise<ReadonlyMap<string, JobRecord>> {
  const all = new Map<string, JobRecord>()
  let after: string | null = null
  do {
    const cursor: { after?: string } = after === null ? {} : { after }
    const page = await jobs.list({ group, limit: 500, ...cursor })
    for (const job of page.jobs) all.set(job.id, job)
    after = page.next
  } while (after !== null)
  return all
}

function readLines(ledger: string): ReadonlyMap<string, ReadonlySet<Line['kind']>> {
  const byId = new Map<string, Set<Line['kind']>>()
  for (const text of readFileSync(ledger, 'utf8').split('\n')) {
    if (text === '') continue
    const { id, kind } = JSON.parse(text) as Line
    byId.set(id, (byId.get(id) ?? new Set()).add(kind))
  }
  return byId
}
