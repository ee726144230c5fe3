/** Workflows that a seed draws: their plan, the task of their nodes, and the flow that is built from both. */
import { appendFileSync, existsSync } from 'node:fs'
import { constant, Discard, task, Unrecoverable, workflow, type Node } from '../../src/index.ts'
import type { NodeNeed, OnNeedFailed } from '../../src/flows/workflows/workflow.ts'
import { between, randomOf, whole, type Random } from '../chaos/random.ts'

/** What a node does when it runs. */
export type Fate = 'completes' | 'fails' | 'flaky' | 'discards' | 'grows'

/** One node as it is drawn. */
export interface PlannedNode {
  readonly name: string
  readonly fate: Fate
  readonly lastsMs: number
  /** Places of nodes before it in the plan. */
  readonly needs: readonly { readonly n: number; readonly onFailed: OnNeedFailed }[]
  /** Nodes whose outputs it is handed; they count as needs by `onFailed`. */
  readonly refers: readonly number[]
  readonly onFailed: OnNeedFailed
  /** A workflow in its place. */
  readonly within: readonly PlannedNode[] | null
  /** The first node that waits for it: what it adds, that one waits for as well. */
  readonly next: string | null
}

/** What the task of a node is given. */
export interface NodeInput {
  readonly fate: Fate
  readonly lastsMs: number
  readonly sums: readonly number[]
  readonly next: string | null
  /** An added node says which one waits for it. */
  readonly holds: string | null
}

export interface NodeOutput {
  readonly sum: number
}

/** A line of the ledger: a run that began, or that did its work and is about to return. */
export interface Line {
  readonly kind: 'began' | 'did'
  readonly id: string
}

/** What a run is started with. */
export interface Run {
  readonly id: string
  readonly seed: string
  readonly size: number
}

const fates: readonly Fate[] = ['fails', 'discards', 'grows', 'grows', 'flaky', 'flaky']

/** Draws the nodes, needed ones first. */
export function planOf({ seed, size }: Run): readonly PlannedNode[] {
  return draw(randomOf(seed), size, true)
}

function draw(random: Random, size: number, mayNest: boolean): readonly PlannedNode[] {
  const nodes: PlannedNode[] = []
  const next = new Map<number, string>()
  while (nodes.length < size) {
    const n = nodes.length
    const name = `n${n}`
    const onFailed = policy(random)
    const needed =
      n === 0 ? [] : Array.from({ length: whole(random, 0, 3) }, () => whole(random, 0, n - 1))
    const distinct = [...new Set(needed)]
    const refers = distinct.filter(() => random() < 0.5)
    const plain = distinct.filter((one) => !refers.includes(one))
    for (const one of distinct) if (!next.has(one)) next.set(one, name)
    const isNested = mayNest && random() < 0.06
    nodes.push({
      name,
      fate: random() < 0.25 ? (fates[whole(random, 0, fates.length - 1)] ?? 'flaky') : 'completes',
      lastsMs: random() < 0.3 ? Math.round(between(random, 0, 30)) : 0,
      needs: plain.map((one) => ({ n: one, onFailed: policy(random) })),
      // A workflow takes no input that refers to others.
      refers: isNested ? [] : refers,
      onFailed,
      within: isNested ? draw(random, whole(random, 2, 5), false) : null,
      next: null,
    })
  }
  return nodes.map((node, n) => ({ ...node, next: next.get(n) ?? null }))
}

function policy(random: Random): OnNeedFailed {
  return random() < 0.4 ? 'cancel' : random() < 0.4 ? 'fail' : 'run'
}

/** Makes the flow and its task, which says in a ledger what it does and ends well once a file is there. */
export function makeFlow(ledger: string, healed: string) {
  const write = (line: Line): void => appendFileSync(ledger, `${JSON.stringify(line)}\n`)
  const node = task({
    name: 'node',
    losses: 'none',
    retry: { limit: 'none', backoff: constant(20) },
    async run({ fate, lastsMs, sums, next }: NodeInput, job): Promise<NodeOutput> {
      write({ kind: 'began', id: job.id })
      if (lastsMs > 0) await new Promise((resolve) => setTimeout(resolve, lastsMs))
      if (!existsSync(healed)) {
        if (fate === 'fails') throw new Unrecoverable('this one fails')
        if (fate === 'discards') throw new Discard('this one is not worth it')
      }
      if (fate === 'flaky' && job.attempt === 1) throw new Error('the first attempt fails')
      if (fate === 'grows') {
        const input = { fate: 'completes', lastsMs: 5, next: null } as const
        const before = next === null ? [] : [next]
        const first = await job.workflow.add('a', node, { ...input, sums: [], holds: null })
        const sum = first.output.sum
        await job.workflow.add('b', node, { ...input, sums: [sum], holds: next }, { before })
      }
      write({ kind: 'did', id: job.id })
      return { sum: 1 + sums.reduce((a, b) => a + b, 0) }
    },
  })
  const nest = (plan: readonly PlannedNode[]) =>
    workflow({
      name: 'within',
      build: (w) => {
        const added = build(w, plan)
        return w.output({ sum: added.at(-1)?.output.sum ?? 0 })
      },
    })
  type Builder = Parameters<Parameters<typeof workflow>[0]['build']>[0]
  const build = (w: Builder, plan: readonly PlannedNode[]): readonly Node<NodeOutput>[] => {
    const added: Node<NodeOutput>[] = []
    const at = (n: number): Node<NodeOutput> => added[n] as Node<NodeOutput>
    for (const { name, fate, lastsMs, needs, refers, onFailed, within, next } of plan) {
      const all: NodeNeed[] = needs.map((one) => ({ node: at(one.n), onFailed: one.onFailed }))
      const options = { needs: all, onNeedFailed: onFailed }
      const sums = refers.map((n) => at(n).output.sum)
      added.push(
        within === null
          ? w.add(name, node, { fate, lastsMs, sums, next, holds: null }, options)
          : w.add(name, nest(within), undefined, options),
      )
    }
    return added
  }
  const flow = workflow({
    name: 'graph',
    build: (w, run: Run) => {
      const added = build(w, planOf(run))
      return w.output(added.length)
    },
  })
  return { node, flow }
}
