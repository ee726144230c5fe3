import { canStartPostgres } from '../postgres-server.ts'
import { testShortRuns } from './short-run.ts'

if (canStartPostgres()) {
  testShortRuns(['postgres'], { jobs: 300, kills: 1, restarts: 1, blackHoles: 1, rescues: 1 })
}
