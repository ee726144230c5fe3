/** Places the nodes of a run in columns: each stands right of all that it waits for. Pure. */
import type { WorkflowNode } from './types.ts'

interface Placed {
  readonly node: WorkflowNode
  readonly x: number
  readonly y: number
}

export interface Drawing {
  readonly nodes: readonly Placed[]
  readonly edges: readonly {
    readonly from: Placed
    readonly to: Placed
    readonly onFailed: string
  }[]
  readonly width: number
  readonly height: number
}

export const box = { width: 168, height: 44, gapX: 48, gapY: 14 } as const

/** Lays a graph out. Needs on nodes that are not in it are left out, and so is what closes a circle. */
export function draw(nodes: readonly WorkflowNode[]): Drawing {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const columns = columnsOf(nodes, byId)
  const rows = new Map<string, number>()
  const placed = new Map<string, Placed>()
  const most = Math.max(1, ...columns.map(({ length }) => length))
  const height = most * (box.height + box.gapY) - box.gapY
  columns.forEach((column, index) => {
    // Each column is in the order of what its nodes wait for, so that fewer edges cross.
    const inOrder = column.toSorted((a, b) => centre(a, rows) - centre(b, rows))
    const top = (height - inOrder.length * (box.height + box.gapY) + box.gapY) / 2
    inOrder.forEach((node, row) => {
      const y = top + row * (box.height + box.gapY)
      rows.set(node.id, y)
      placed.set(node.id, { node, x: index * (box.width + box.gapX), y })
    })
  })
  const edges = nodes.flatMap(({ id, needs }) =>
    needs.flatMap((need) => {
      const from = placed.get(need.id)
      const to = placed.get(id)
      if (from === undefined || to === undefined) return []
      // The end waits for all nodes, and others for what stands far before them: drawn, they hide the rest.
      const isFar = to.x - from.x > box.width + box.gapX
      return need.onFailed === 'run' && isFar ? [] : [{ from, to, onFailed: need.onFailed }]
    }),
  )
  const width = columns.length * (box.width + box.gapX) - box.gapX
  return { nodes: [...placed.values()], edges, width: Math.max(width, box.width), height }
}

function centre({ needs }: WorkflowNode, rows: ReadonlyMap<string, number>): number {
  const known = needs.flatMap(({ id }) => rows.get(id) ?? [])
  return known.length === 0 ? 0 : known.reduce((sum, y) => sum + y, 0) / known.length
}

/** Nodes by the longest way to them, walked without recursion: a chain may be long. */
function columnsOf(
  nodes: readonly WorkflowNode[],
  byId: ReadonlyMap<string, WorkflowNode>,
): WorkflowNode[][] {
  const left = new Map<string, number>()
  const dependants = new Map<string, string[]>()
  for (const { id, needs } of nodes) {
    const inside = needs.filter((need) => byId.has(need.id) && need.id !== id)
    left.set(id, inside.length)
    for (const need of inside) dependants.set(need.id, [...(dependants.get(need.id) ?? []), id])
  }
  const depth = new Map<string, number>()
  const ready = nodes.filter(({ id }) => left.get(id) === 0).map(({ id }) => id)
  for (let at = 0; at < ready.length; at += 1) {
    const id = ready[at] ?? ''
    const mine = depth.get(id) ?? 0
    for (const next of dependants.get(id) ?? []) {
      depth.set(next, Math.max(depth.get(next) ?? 0, mine + 1))
      const open = (left.get(next) ?? 0) - 1
      left.set(next, open)
      if (open === 0) ready.push(next)
    }
  }
  const columns: WorkflowNode[][] = []
  for (const node of nodes) (columns[depth.get(node.id) ?? 0] ??= []).push(node)
  return columns.map((column) => column ?? [])
}
