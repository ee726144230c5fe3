/** A value as JSON: lossless, cut where it is long, with a way to the whole. */
import { useState } from 'preact/hooks'
import { prettyJson } from '../json.ts'
import { notify } from './notices.tsx'

const mostShown = 20_000

export function JsonView({ value, label }: { readonly value: unknown; readonly label: string }) {
  const [isWhole, setWhole] = useState(false)
  if (value === undefined) return <p class="hush">None.</p>
  const text = prettyJson(value)
  const isLong = text.length > mostShown
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => notify(`${label} is copied.`),
      () => notify('The browser does not let this page copy.', 'failed'),
    )
  }
  return (
    <div class="json">
      <pre tabIndex={0} aria-label={label}>
        {isLong && !isWhole ? `${text.slice(0, mostShown)}…` : text}
      </pre>
      <p class="tools">
        {isLong && (
          <button type="button" class="plain" onClick={() => setWhole(!isWhole)}>
            {isWhole ? 'Show less' : `Show all ${Math.ceil(text.length / 1_024)} KiB`}
          </button>
        )}
        <button type="button" class="plain" onClick={copy}>
          Copy
        </button>
      </p>
    </div>
  )
}
