#!/usr/bin/env node
/** The command `errand`. */
import { enableCompileCache } from 'node:module'

enableCompileCache()
const { run } = await import('./program.ts')
await run(process.argv)
