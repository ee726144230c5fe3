// A worker of its own process, which main.ts starts, and which one of the tasks kills.
import { errand } from './flow.ts'

await errand.worker().start()
