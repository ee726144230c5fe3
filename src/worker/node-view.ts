/** The workflow of a running node, as its handler sees it: nodes that are added while it runs. */
import { readStoredOptions, withNode } from '../app/new-job.ts'
import type { Client } from '../client/client.ts'
import { ErrandError } from '../core/errors.ts'
import { followUpId, isJobId } from '../core/id.ts'
import { referenceOf, refTo } from '../core/node-output.ts'
import { readChoice, readList } from '../core/read.ts'
import { writeReferences } from '../core/references.ts'
import type { AddedNode, AddOptions, JobWorkflow } from '../core/running-job.ts'
import { shownValue } from '../core/shown.ts'
import type { AnyTask } from '../core/task.ts'
import { checkName } from '../core/text.ts'
import type { ClaimedJob, Hold, Need, NewJob } from '../store/job.ts'

/** What it is made from. */
interface Source {
  readonly job: ClaimedJob
  readonly client: Pick<Client, 'prepareAll'>
  /** Takes jobs that go with the settlement. */
  readonly carry: (jobs: readonly NewJob[]) => void
}

export class NodeView implements JobWorkflow {
  readonly #source: Source
  /** Nodes that this attempt added. */
  readonly #added = new Set<string>()
  #count = 0

  constructor(source: Source) {
    this.#source = source
  }

  async add(
    name: string,
    task: AnyTask,
    input?: unknown,
    options: AddOptions = {},
  ): Promise<AddedNode<never>> {
    const { job, client, carry } = this.#source
    const { run, own, scope } = placeOf(job)
    const where = `job.workflow.add(${shownValue(name)})`
    checkName(name, where)
    const { needs = [], before = [], onNeedFailed = 'cancel', ...rest } = options
    const onFailed = readChoice(onNeedFailed, ['cancel', 'run', 'fail'], `${where}.onNeedFailed`)
    const named = (one: string): string => followUpId(run, 0, `node/${scope}${one}`)
    const all = new Map<string, Need>()
    for (const need of readList(needs, `${where}.needs`, 'nodes or names')) {
      const id = typeof need === 'string' ? named(need) : need.id
      all.set(id, { kind: 'job', id, onFailed, output: 'keep' })
    }
    const { value, jobs: referred } = writeReferences(input, referenceOf)
    for (const id of referred) {
      if (!this.#added.has(id))
        throw new ErrandError('invalid-option', `${where} refers to a node of another attempt.`)
      all.set(id, { kind: 'job', id, onFailed, output: 'hand' })
    }
    const id = followUpId(run, 0, `node/${own}+${this.#count++}/${name}`)
    const call = { ...rest, unique: false }
    const origin = { id, parent: job.id, of: job, unchecked: referred.size > 0 }
    const made = await client.prepareAll(task, value, call, origin)
    const holds: Hold[] = [{ id: endOf(run, scope), onFailed: 'run', output: 'keep' }]
    for (const one of readList(before, `${where}.before`, 'names'))
      holds.push({ id: named(one), onFailed, output: 'keep' })
    const node = made.at(-1)
    if (node === undefined) throw new TypeError('a job was made')
    const whole = { ...node, needs: [...node.needs, ...all.values()], holds }
    carry([...made.slice(0, -1), withNode(whole, `${own}+${name}`)])
    this.#added.add(id)
    return { name, id, output: refTo({ job: id, name, path: [] }) as never }
  }
}

/** Where a running node stands: its run, its own name, and that of what it is in, up to its slash. */
function placeOf(job: ClaimedJob): {
  readonly run: string
  readonly own: string
  readonly scope: string
} {
  const name = readStoredOptions(job.options)?.node?.name
  if (job.group === null || !isJobId(job.group) || name === undefined || name === '') {
    throw new ErrandError(
      'invalid-option',
      `${job.task} ${job.id} is no node of a workflow, so none can be added to it.`,
    )
  }
  return { run: job.group, own: name, scope: name.slice(0, name.lastIndexOf('/') + 1) }
}

/** The job that ends what a node is in. */
function endOf(run: string, scope: string): string {
  return scope === '' ? run : followUpId(run, 0, `node/${scope.slice(0, -1)}`)
}
