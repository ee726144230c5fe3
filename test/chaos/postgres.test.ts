import { canStartPostgres } from '../postgres-server.ts'
import { testShortRuns } from './short-run.ts'

if (canStartPostgres()) {
  testShortRuns(['postgres'], {
    jobs: 300,
    kills: 1,
    failOvers: 1,
    blackHoles: 1,
    silences: 1,
    rescues: 1,
  })
}
