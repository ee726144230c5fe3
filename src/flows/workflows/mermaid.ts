/** The graph of a run as Mermaid text, which Markdown viewers draw. */
import type { OnNeedFailed } from './workflow.ts'
import type { WorkflowNode } from './runs.ts'

const arrows: Readonly<Record<OnNeedFailed, string>> = {
  cancel: '-->',
  run: '-.->',
  fail: '-->|fails|',
}

/**
 * Draws nodes with their states, and needs as arrows: dashed where a failure lets the node run. The end
 * of a run, which needs all nodes, is left out, as are ends of workflows within it but for what
 * needs them.
 */
export function mermaidOf(nodes: readonly WorkflowNode[]): string {
  const shown = nodes.filter(({ name }) => name !== '')
  const places = new Map(shown.map(({ id }, n) => [id, `n${n}`]))
  const lines = ['flowchart LR']
  for (const { id, name, state } of shown)
    lines.push(`  ${places.get(id) ?? id}["${escaped(name)}<br/>${state}"]:::${state}`)
  for (const { id, needs } of shown) {
    for (const need of needs) {
      const from = places.get(need.id)
      if (from !== undefined) lines.push(`  ${from} ${arrows[need.onFailed]} ${places.get(id)}`)
    }
  }
  lines.push(
    '  classDef completed fill:#d3f9d8,stroke:#2b8a3e',
    '  classDef failed fill:#ffe3e3,stroke:#c92a2a',
    '  classDef running fill:#d0ebff,stroke:#1971c2',
    '  classDef cancelled fill:#f3d9fa,stroke:#862e9c',
  )
  return lines.join('\n')
}

/** Mermaid has entities in place of escapes. */
function escaped(name: string): string {
  return name.replaceAll('&', '#amp;').replaceAll('"', '#quot;').replaceAll('<', '#lt;')
}
