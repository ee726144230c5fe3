/** Asks for a token. */
import { useState } from 'preact/hooks'
import { wordsOf } from '../api.ts'
import { MadeToken } from '../parts/made-token.tsx'
import { madeToken, signIn } from '../session.ts'

export function SignIn() {
  const [token, setToken] = useState('')
  const [problem, setProblem] = useState<string | null>(null)
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    try {
      await signIn(token.trim())
    } catch (error) {
      setProblem(wordsOf(error))
    }
  }
  return (
    <main class="lone">
      <h1>Errand</h1>
      {madeToken.value !== null && <p>From now on everybody needs a token, and so do you.</p>}
      <MadeToken />
      <form onSubmit={(event) => void submit(event)}>
        <label class="field">
          Token
          <input
            type="password"
            autocomplete="current-password"
            spellcheck={false}
            required
            placeholder="errand_…"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        {problem !== null && (
          <p class="failure" role="alert">
            {problem}
          </p>
        )}
        <p class="actions">
          <button type="submit" class="main">
            Sign in
          </button>
        </p>
      </form>
      <p class="hush">
        Make one on the machine of the manager: <code>errand tokens create --scope read</code>. Add{' '}
        <code>--scope operate</code> to cancel, retry and pause.
      </p>
    </main>
  )
}
