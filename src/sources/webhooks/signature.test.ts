import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { describe, it, mock } from 'node:test'
import { isErrandError } from '../../core/errors.ts'
import vectors from './signature-vectors.json' with { type: 'json' }
import { signWebhook, verifyWebhook, type WebhookHeaders } from './signature.ts'

const old = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const recent = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const strange = `whsec_${Buffer.alloc(32, 8).toString('base64')}`
const id = 'msg_1'
const body = '{"type":"invoice.paid","data":{"amount":7}}'
const sentAt = new Date('2026-11-28T10:00:00Z')
const now = new Date(sentAt.getTime() + 60_000)

function headersOf(
  secrets: string | string[],
  changed: Record<string, string> = {},
): WebhookHeaders {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(sentAt.getTime() / 1_000),
    'webhook-signature': signWebhook(secrets, { id, sentAt, body }),
    ...changed,
  }
}

function refused(why: RegExp, verify: () => unknown): void {
  assert.throws(verify, (error) => {
    assert.ok(isErrandError(error, 'invalid-signature'), String(error))
    assert.match(error.message, why)
    return true
  })
}

describe('signatures of webhooks', () => {
  for (const { secret, id, timestamp, body, signature } of vectors.signatures) {
    it(`sign and verify ${id} as Standard Webhooks do`, () => {
      const sentAt = new Date(timestamp * 1_000)
      assert.equal(signWebhook(secret, { id, sentAt, body }), signature)
      assert.equal(signWebhook(secret, { id, sentAt, body: Buffer.from(body) }), signature)
      const headers = new Headers({
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': signature,
      })
      const verified = verifyWebhook(secret, headers, Buffer.from(body), { now: sentAt })
      assert.deepEqual(verified, { id, sentAt, payload: JSON.parse(body) })
    })
  }

  it('are right if any secret of the sender is any of the receiver', () => {
    for (const [sender, receiver] of [
      [[old, recent], old],
      [[old, recent], recent],
      [recent, [old, recent]],
      [
        [old, recent],
        [strange, recent],
      ],
    ] as const) {
      const verified = verifyWebhook(receiver, headersOf([sender].flat()), body, { now })
      assert.equal(verified.id, id)
    }
    refused(/none of its signatures/, () =>
      verifyWebhook([strange], headersOf([old, recent]), body, { now }),
    )
  })

  it('hold for the id, the time and every byte of the body', () => {
    const check = (headers: WebhookHeaders, text = body): unknown =>
      verifyWebhook(old, headers, text, { now })
    check(headersOf(old))
    const later = String(sentAt.getTime() / 1_000 + 1)
    refused(/none of/, () => check(headersOf(old, { 'webhook-id': 'msg_2' })))
    refused(/none of/, () => check(headersOf(old, { 'webhook-timestamp': later })))
    refused(/none of/, () => check(headersOf(old), body.replace('7', '8')))
    refused(/none of/, () => check(headersOf(old), `${body} `))
  })

  it('are refused where a part is missing or makes no sense', () => {
    for (const name of ['webhook-id', 'webhook-timestamp', 'webhook-signature'])
      refused(new RegExp(`${name} is missing`), () =>
        verifyWebhook(old, headersOf(old, { [name]: '' }), body, { now }),
      )
    refused(/no time/, () =>
      verifyWebhook(old, headersOf(old, { 'webhook-timestamp': '1e9' }), body, { now }),
    )
    for (const signature of ['v1,', 'v1,AAAA', 'v1a,AAAA', 'v2,x', ' ', 'g0hM9SsE+OTPJTGt'])
      refused(/none of/, () =>
        verifyWebhook(old, headersOf(old, { 'webhook-signature': signature }), body, { now }),
      )
    const headers = headersOf(old, {
      'webhook-signature': signWebhook(old, { id, sentAt, body: 'text' }),
    })
    refused(/no JSON/, () => verifyWebhook(old, headers, 'text', { now }))
  })

  it('hold for five minutes either way, or as long as it is said', () => {
    const at = (ms: number, tolerance?: '1h'): unknown =>
      verifyWebhook(old, headersOf(old), body, {
        now: new Date(sentAt.getTime() + ms),
        ...(tolerance && { tolerance }),
      })
    for (const ms of [0, 300_000, -300_000]) at(ms)
    for (const ms of [300_001, -300_001]) refused(/too long ago/, () => at(ms))
    at(3_000_000, '1h')
    refused(/too long ago/, () => at(NaN))
  })

  it('are compared in constant time, each with each', () => {
    const compared = mock.method(crypto, 'timingSafeEqual')
    syncBuiltinESMExports()
    try {
      verifyWebhook([old, recent], headersOf([old, strange]), body, { now })
      assert.equal(compared.mock.callCount(), 4)
      refused(/none of/, () => verifyWebhook([old, recent], headersOf(strange), body, { now }))
      assert.equal(compared.mock.callCount(), 6)
    } finally {
      mock.restoreAll()
      syncBuiltinESMExports()
    }
  })

  it('need secrets of 24 to 64 bytes, and never show them', () => {
    const short = Buffer.alloc(23, 'secret').toString('base64')
    const long = Buffer.alloc(65, 'secret').toString('base64')
    for (const secret of [`whsec_${short}`, `whsec_${long}`, short, 'whsec_', 'whsec_a-b', 7, []]) {
      assert.throws(
        () => signWebhook(secret as string, { id, sentAt, body }),
        (error) => {
          assert.ok(isErrandError(error, 'invalid-option'))
          assert.match(error.message, /signWebhook\(\) needs a secret such as whsec_…/)
          assert.ok(!error.message.includes(short) && !error.message.includes(long))
          return true
        },
      )
    }
  })
})
