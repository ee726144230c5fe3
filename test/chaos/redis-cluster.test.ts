import { canStartRedis } from '../redis-server.ts'
import { testShortRuns } from './short-run.ts'

if (canStartRedis())
  testShortRuns(['redis-cluster'], { jobs: 300, kills: 1, restarts: 1, upheavals: 1, rescues: 1 })
