#!/usr/bin/env node
/** The command `errand`. */
// What an old Node lacks must not be imported by its name: that would end in a stack before anything is said.
import nodeModule from 'node:module'
import { isTooOld, leastNode } from './node-version.ts'

const { node } = process.versions
if (isTooOld(node)) {
  const where = `This is ${node}, ${process.execPath}.`
  process.stderr.write(`error: Errand needs Node ${leastNode} or newer. ${where}\n`)
  process.exitCode = 2
} else {
  nodeModule.enableCompileCache()
  const { run } = await import('./program.ts')
  await run(process.argv)
}
