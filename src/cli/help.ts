/** Examples under the help of a command. */
import type { Command } from 'commander'

/** Adds examples: commands as they are typed, each with what it does. */
export function examples(
  command: Command,
  lines: readonly (readonly [command: string, does: string])[],
): Command {
  const width = Math.max(...lines.map(([line]) => line.length))
  const text = lines.map(([line, does]) => `  ${line.padEnd(width)}  ${does}`).join('\n')
  return command.addHelpText('after', `\nExamples:\n${text}`)
}
