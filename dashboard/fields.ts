/** What a form's field holds; the text of a field that is not there is empty. */
export function fieldOf(data: FormData, name: string): string {
  const value = data.get(name)
  return typeof value === 'string' ? value.trim() : ''
}
