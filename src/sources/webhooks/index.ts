/** `errand/webhooks`: sends webhooks, and checks those that come in. */
export {
  signWebhook,
  verifyWebhook,
  type SignedMessage,
  type VerifiedWebhook,
  type VerifyOptions,
  type WebhookHeaders,
  type WebhookSecrets,
} from './signature.ts'
export { webhook, type WebhookEvent, type WebhookOptions } from './webhook.ts'
