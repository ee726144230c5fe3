/** The one showing of a token that was just made. */
import { madeToken } from '../session.ts'

export function MadeToken() {
  if (madeToken.value === null) return null
  return (
    <p class="note" role="status">
      The token, shown this once: <code class="whole">{madeToken.value}</code>
    </p>
  )
}
