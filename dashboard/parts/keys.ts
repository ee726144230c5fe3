/** The keyboard: `/` finds, `j` and `k` move through a list, `g` and a letter go to a page. */
import { go, to } from '../route.ts'

const pages: Readonly<Record<string, readonly string[]>> = {
  o: [],
  j: ['jobs'],
  q: ['queues'],
  s: ['schedules'],
  w: ['workflows'],
  f: ['fleet'],
  a: ['api'],
}

let afterG = 0

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('input, textarea, select, dialog') !== null
}

export function listenToKeys(): void {
  addEventListener('keydown', onKey)
}

function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
  if (document.querySelector('dialog[open]') !== null) return
  const { key } = event
  if (Date.now() - afterG < 1_500 && pages[key] !== undefined) {
    afterG = 0
    go(to(pages[key]))
  } else if (key === 'g') afterG = Date.now()
  else if (key === '/') {
    const find = document.querySelector<HTMLElement>('[data-find]')
    if (find === null) return
    find.focus()
  } else if (key === 'j' || key === 'k') move(key === 'j' ? 1 : -1)
  else return
  event.preventDefault()
}

/** Moves the focus to the link of the next row, or of the one before. */
function move(by: 1 | -1): void {
  const links = [...document.querySelectorAll<HTMLElement>('tbody tr [data-row]')]
  const row = document.activeElement?.closest('tr')
  const at = links.findIndex((link) => link.closest('tr') === row)
  const next = links[at === -1 && by === -1 ? links.length - 1 : at + by]
  next?.focus()
  next?.scrollIntoView({ block: 'nearest' })
}
