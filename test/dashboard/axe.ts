/** What axe-core finds on a page. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

interface AxeResult {
  readonly violations: readonly {
    readonly id: string
    readonly impact: string
    readonly nodes: readonly { readonly html: string }[]
  }[]
}

/** What stands in the way of people, but for small matters: on the page, or in the part of it that a selector names, if it is there. */
export async function barriers(page: Page, part = 'html'): Promise<readonly string[]> {
  // The script comes by the debugger, which no content security policy forbids.
  const run = `${axe}; axe.run(document.querySelector(${JSON.stringify(part)}) ?? document)`
  const { violations } = (await page.evaluate(run)) as AxeResult
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ''}`)
}
