/** The definitions: what producers and workers share. They bundle no handler and load none of its libraries. */
import { task } from 'errand'
import * as z from 'zod'

export const render = task({
  name: 'pages.render',
  input: z.object({ page: z.string() }),
  output: z.object({ html: z.string() }),
})

export const publish = task({
  name: 'pages.publish',
  input: z.object({ html: z.string() }),
})
