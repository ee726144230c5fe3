/** A field that narrows a list to the names that hold a text; `/` goes to it. */
export function Find({
  text,
  onChange,
}: {
  readonly text: string
  readonly onChange: (text: string) => void
}) {
  return (
    <label class="field narrow">
      Find
      <input
        type="search"
        data-find
        value={text}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    </label>
  )
}
