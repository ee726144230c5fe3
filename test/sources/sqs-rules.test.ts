/** The rules of sources, on SQS. */
import { describe, test } from 'node:test'
import { runRules, sourceRules } from '../../src/testing/conformance/index.ts'
import { sqsPlace } from './sqs-place.ts'

for (const kind of ['standard', 'fifo'] as const) {
  describe(`SQS, ${kind}`, { concurrency: 4 }, () => {
    runRules({ test, harness: { create: () => sqsPlace(kind) }, rules: sourceRules })
  })
}
