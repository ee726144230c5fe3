/** `errand migrate`: create or upgrade what the store needs. */
import type { Command } from 'commander'
import { action, withApp } from '../action.ts'
import { examples } from '../help.ts'
import { refuseHttp } from '../refuse-http.ts'
import { print, printJson } from '../terminal.ts'

export function addMigrate(program: Command): void {
  const command = program
    .command('migrate')
    .summary('create or upgrade what the store needs')
    .description(
      'Create or upgrade what the store needs. Safe to run twice, and from many machines at once.',
    )
    .action(
      action<object, []>(async (options) => {
        const { info } = await withApp(options, async ({ store }) => {
          refuseHttp(
            store,
            'migrate',
            'a manager prepares its own store when it starts. Name the database itself.',
          )
          await store.setup()
          return store
        })
        if (options.json) printJson(info)
        else print(`${info.kind} store at ${info.location} is up to date`)
        return 0
      }),
    )
  examples(command, [['errand migrate --store sqlite:errand.db', 'as a step of a deployment']])
}
