import { isFull } from '../full.ts'
import { testShortRuns } from './short-run.ts'

// The store behind it is SQLite, whose own run is the longer one. Long silences are for the long form.
const quick = ['--only', 'kill-worker,kill-producer,darken-worker,restart']
const store = isFull ? ['http'] : ['http', ...quick]
testShortRuns(store, { jobs: 100, kills: 1, restarts: 1 }, isFull ? 60 : 6)
