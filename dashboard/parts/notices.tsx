/** Short messages of what came of an action, read out to those who do not see. */
import { signal } from '@preact/signals'

interface Notice {
  readonly id: number
  readonly text: string
  readonly kind: 'done' | 'failed'
}

const notices = signal<readonly Notice[]>([])
let last = 0

export function notify(text: string, kind: Notice['kind'] = 'done'): void {
  last += 1
  const id = last
  notices.value = [...notices.value.slice(-3), { id, text, kind }]
  setTimeout(() => dismiss(id), kind === 'done' ? 5_000 : 12_000)
}

function dismiss(id: number): void {
  notices.value = notices.value.filter((one) => one.id !== id)
}

/** Does something for the reader, and says when it cannot be done. Resolves to whether it was done. */
export async function attempt(act: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await act()
    if (done !== undefined) notify(done)
    return true
  } catch (error) {
    notify(error instanceof Error ? error.message : String(error), 'failed')
    return false
  }
}

export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map(({ id, text, kind }) => (
        <p key={id} class={`notice is-${kind}`}>
          {text}{' '}
          <button type="button" class="plain" aria-label="Dismiss" onClick={() => dismiss(id)}>
            ×
          </button>
        </p>
      ))}
    </div>
  )
}
