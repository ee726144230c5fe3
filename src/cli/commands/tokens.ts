/** `errand tokens`: who may call the HTTP API, and what for. */
import type { Command } from 'commander'
import type { Errand } from '../../errand.ts'
import type { Scope, TokenInfo, Tokens } from '../../manager/index.ts'
import { action, withApp } from '../action.ts'
import type { Globals } from '../globals.ts'
import { examples } from '../help.ts'
import { several } from '../options.ts'
import { table } from '../table.ts'
import { print, printJson, remark } from '../terminal.ts'
import { fromNow } from '../times.ts'

interface CreateOptions {
  readonly scope: readonly string[]
  readonly queue?: readonly string[]
  readonly name?: string
}

export function addTokens(program: Command): void {
  const tokens = program
    .command('tokens')
    .summary('see, make and revoke tokens of the HTTP API')
    .description(
      'See, make and revoke the tokens that callers of the HTTP API show. Every manager of the store knows of a change within two seconds.',
    )
  addList(tokens)
  addCreate(tokens)
  addRevoke(tokens)
}

function addList(tokens: Command): void {
  const command = tokens
    .command('list')
    .summary('tokens and what they are for')
    .description('List the tokens, the oldest first. The tokens themselves are not kept.')
    .action(
      action<object, []>(async (options) => {
        const found = await withTokens(options, (tokens) => tokens.list())
        if (options.json) printJson(found)
        else print(found.length === 0 ? 'No token exists.' : tokenTable(found))
        return 0
      }),
    )
  examples(command, [['errand tokens list', 'who may call the API']])
}

function tokenTable(tokens: readonly TokenInfo[]): string {
  const now = Date.now()
  return table(
    [
      { title: 'id' },
      { title: 'name', shrinks: true },
      { title: 'scopes' },
      { title: 'queues', shrinks: true },
      { title: 'made' },
    ],
    tokens.map(({ id, name, scopes, queues, createdAt }) => [
      id,
      name ?? '',
      scopes.join(', '),
      queues?.join(', ') ?? 'all',
      fromNow(createdAt, now),
    ]),
  )
}

function addCreate(tokens: Command): void {
  const command = tokens
    .command('create')
    .summary('make a token')
    .description(
      'Make a token and print it. It is shown this once, and only its hash is kept. Scopes: read (every GET), enqueue (new jobs), work (what workers call), operate (cancel, retry, remove, pause, schedules), admin (tokens).',
    )
    .requiredOption('--scope <scope>', 'what it is for; may be repeated', several)
    .option('--queue <name>', 'for this queue only; may be repeated', several)
    .option('--name <name>', 'to tell it from others by')
    .action(
      action<CreateOptions, []>(async (options) => {
        const { scope, queue, name } = options
        const made = await withTokens(options, (tokens) =>
          tokens.create({
            scopes: scope as readonly Scope[],
            ...(queue === undefined ? {} : { queues: queue }),
            ...(name === undefined ? {} : { name }),
          }),
        )
        const { id, token, scopes, queues } = made
        if (options.json) {
          printJson({ id, token, scopes, queues, ...(name === undefined ? {} : { name }) })
          return 0
        }
        print(token)
        remark(`Its id is ${id}. It is not shown again: callers read it from ERRAND_TOKEN.`)
        return 0
      }),
    )
  examples(command, [
    ['errand tokens create --scope enqueue --scope read', 'for a program that enqueues and looks'],
    ['errand tokens create --scope enqueue --queue mail', 'for one queue only'],
    ['errand tokens create --scope work --json', 'for a worker elsewhere: { id, token, … }'],
  ])
}

function addRevoke(tokens: Command): void {
  const command = tokens
    .command('revoke')
    .summary('end a token')
    .description('End a token: within two seconds no manager takes it any more.')
    .argument('<id>')
    .action(
      action<object, [string]>(async (options, id) => {
        const answer = await withTokens(options, (tokens) => tokens.revoke(id))
        if (options.json) printJson({ [id]: answer })
        else if (answer === 'revoked') print(`revoked ${id}`)
        else remark(`error: No token has the id ${id}: see errand tokens list.`)
        return answer === 'revoked' ? 0 : 1
      }),
    )
  examples(command, [['errand tokens revoke 5f0c2a91d3e8', 'ends one']])
}

async function withTokens<Result>(
  options: Globals,
  use: (tokens: Tokens) => Promise<Result>,
): Promise<Result> {
  return withApp(options, async (errand) => use(await tokensOf(errand)))
}

async function tokensOf(errand: Errand): Promise<Tokens> {
  const { info } = errand.store
  if (info.kind === 'http') {
    const { remoteTokens } = await import('../remote-tokens.ts')
    return remoteTokens(info.location)
  }
  const { tokens } = await import('../../manager/index.ts')
  return tokens(errand)
}
