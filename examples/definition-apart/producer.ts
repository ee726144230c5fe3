/** A producer: it knows the definitions, enqueues, and ends. */
import { createErrand } from 'errand'
import { sqlite } from 'errand/sqlite'
import { render } from './tasks.ts'

const errand = createErrand({ store: sqlite(process.argv[2] ?? 'errand.db') })

const { inserted } = await errand.enqueue(render, { page: 'home' })
console.log(`producer: ${inserted}, has a handler: ${render.definition.handler !== null}`)

await errand.close()
