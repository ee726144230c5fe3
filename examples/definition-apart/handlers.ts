/** The other half, loaded by workers only: handlers, and what follows from what. */
import { publish, render } from './tasks.ts'

render.run(({ page }) => ({ html: `<h1>${page}</h1>` }))
render.onSuccess(publish)

publish.run(({ html }) => console.log(`worker: published ${html}`))

export { publish, render }
