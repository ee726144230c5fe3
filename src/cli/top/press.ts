/** What a key does in `errand top`. Pure: from where the user is to where they are next. */
import { rowsOf, views, type Place, type Wish } from './screen.ts'
import type { Look } from './look.ts'

/** What follows from a key. */
export interface Pressed {
  readonly place: Place
  /** What is to be done now; null for nothing. */
  readonly wish: Wish | null
  readonly quits: boolean
}

/** A key, as `node:readline` names it. */
export interface Key {
  readonly name?: string | undefined
  readonly ctrl?: boolean | undefined
  readonly sequence?: string | undefined
}

const verbKeys: Readonly<Record<string, readonly Wish['verb'][]>> = {
  p: ['pause', 'resume'],
  c: ['cancel'],
  r: ['retry'],
}

export function press(place: Place, key: Key, looks: readonly Look[]): Pressed {
  const stay = (changes: Partial<Place> = {}, wish: Wish | null = null): Pressed => ({
    place: { ...place, ...changes },
    wish,
    quits: false,
  })
  const { name = '', ctrl = false } = key
  if (name === 'q' || (ctrl && name === 'c')) return { ...stay(), quits: true }
  if (place.asked !== null)
    return stay({ asked: null, note: '' }, name === 'y' ? place.asked : null)
  const numbered = views[Number(key.sequence) - 1]
  if (numbered !== undefined) return stay({ view: numbered, row: 0, note: '' })
  const at = views.indexOf(place.view)
  const rows = rowsOf(place.view, looks)
  const moved = (row: number): Pressed =>
    stay({ row: Math.max(0, Math.min(row, rows.length - 1)), note: '' })
  switch (name) {
    case 'tab':
    case 'right':
      return stay({ view: views[(at + 1) % views.length] ?? place.view, row: 0, note: '' })
    case 'left':
      return stay({ view: views.at(at - 1) ?? place.view, row: 0, note: '' })
    case 'down':
    case 'j':
      return moved(place.row + 1)
    case 'up':
    case 'k':
      return moved(place.row - 1)
    default: {
      const wish = rows[place.row] ?? null
      if (wish === null || verbKeys[name]?.includes(wish.verb) !== true) return stay()
      // What can be undone by the same key is done at once.
      return 'queue' in wish ? stay({}, wish) : stay({ asked: wish })
    }
  }
}
