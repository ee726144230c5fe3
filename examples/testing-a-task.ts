/** Testing tasks: one run by itself, what was enqueued, and a whole app whose time is the test's. For any test runner. */
import assert from 'node:assert/strict'
import { task } from 'errand'
import { drain, expectEnqueued, runTask, testErrand } from 'errand/testing'

const sendMail = task({
  name: 'mail.send',
  run: (_input: { to: string; subject: string }) => 'sent',
})

const signUp = task({
  name: 'users.sign-up',
  async run({ email }: { email: string }, job) {
    if (!email.includes('@')) throw new Error('no address')
    await job.enqueue(sendMail, { to: email, subject: 'Welcome' }, { delay: '1h' })
    job.log.info(`signed up ${email}`)
    return { email }
  },
})

// One run, without a worker and without storing anything.
const run = await runTask(signUp, { email: 'ada@example.com' })
assert.equal(run.outcome, 'completed')
assert.deepEqual(run.output, { email: 'ada@example.com' })
assert.equal(run.enqueued[0]?.task, 'mail.send')
assert.equal(run.logs[0]?.text, 'signed up ada@example.com')
console.log('one run:', run.outcome)

// What the handler throws is an answer, not a rejection.
const bad = await runTask(signUp, { email: 'ada' })
assert.equal(bad.outcome, 'failed')
console.log('a failure:', (bad.error as Error).message)

// A whole app in memory, whose clock stands still until the test moves it.
const errand = testErrand({ tasks: [signUp, sendMail] })
await errand.enqueue(signUp, { email: 'grace@example.com' })
await drain(errand)
const mail = await expectEnqueued(errand, sendMail, { to: 'grace@example.com' })
console.log('the mail:', mail.state)

await errand.clock.advance(3_600_000)
await drain(errand)
console.log('an hour later:', (await errand.jobs.get(mail.id))?.state)

// An assertion that fails shows what was enqueued instead.
await expectEnqueued(errand, sendMail, { to: 'nobody' }).catch((error: Error) =>
  console.log(error.message),
)
await errand.close()

// Output:
// one run: completed
// a failure: no address
// the mail: scheduled
// an hour later: completed
// No job of mail.send with { to: 'nobody' } was enqueued. Of this task were:
//   mail.send { to: 'grace@example.com', subject: 'Welcome' } (completed)
