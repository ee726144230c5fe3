/** `errand doctor`: look whether all is well, and say what to do where it is not. */
import type { Command } from 'commander'
import { action } from '../action.ts'
import type { Globals } from '../globals.ts'
import { fail, ok, type Finding } from '../../client/checks/finding.ts'
import { inLine } from '../../core/shown.ts'
import { examples } from '../help.ts'
import { counted, oneLine } from '../../core/words.ts'
import { keepStdoutPure, paint, print, printJson } from '../terminal.ts'
import type { Errand } from '../../errand.ts'

const colours = { ok: 'green', warn: 'yellow', fail: 'red' } as const

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .summary('look whether all is well')
    .description(
      'Check Node, configuration, store, workers and jobs. Exits with 1 when something fails; warnings do not count.',
    )
    .action(
      action<object, []>(async (options) => {
        const findings = await examine(options)
        if (options.json) printJson(findings)
        else printFindings(findings)
        return findings.some(({ status }) => status === 'fail') ? 1 : 0
      }),
    )
  examples(command, [
    ['errand doctor', 'looks at everything'],
    ['errand doctor --json', 'for a monitor'],
  ])
}

async function examine(globals: Globals): Promise<readonly Finding[]> {
  keepStdoutPure()
  // What looks at all parts loads them all, which other commands need not.
  const { checkNode, checkPromises, checkTasks } = await import('../checks/set-up.ts')
  const { checks, checkStore, isReached } = await import('../../client/checks/index.ts')
  const findings: Finding[] = [checkNode()]
  const { openApp } = await import('../open-app.ts')
  const { findConfig } = await import('../load-config.ts')
  let errand: Errand
  try {
    errand = await openApp(globals)
  } catch (error) {
    const text = oneLine(error instanceof Error ? error.message : String(error))
    return [
      ...findings,
      fail('configuration', text, 'Nothing else can be checked before it loads.'),
    ]
  }
  const path = findConfig(globals.config)
  findings.push(ok('configuration', path ?? 'none; only the store is looked at'))
  if (path !== null) findings.push(...(await checkTasks(errand)))
  findings.push(...(await checkStore(errand)))
  if (isReached(findings)) {
    for (const check of [checkPromises, ...checks]) findings.push(...(await check(errand)))
  }
  await errand.close().catch(() => {})
  return findings
}

function printFindings(findings: readonly Finding[]): void {
  const width = Math.max(...findings.map(({ check }) => check.length))
  for (const { check, status, text, advice } of findings) {
    print(`${paint(colours[status], status.padEnd(4))}  ${check.padEnd(width)}  ${inLine(text)}`)
    if (advice !== undefined)
      print(`${' '.repeat(width + 8)}${paint('dim', `→ ${inLine(advice)}`)}`)
  }
  const count = (status: Finding['status']): number =>
    findings.filter((one) => one.status === status).length
  const [fails, warns] = [count('fail'), count('warn')]
  print(
    `\n${fails + warns === 0 ? 'All is well.' : `${counted(fails, 'failure')}, ${counted(warns, 'warning')}.`}`,
  )
}
