/** Puts the page into the document. */
import { render } from 'preact'
import { App } from './app.tsx'
import { listenToKeys } from './parts/keys.ts'
import { readSession } from './session.ts'

const root = document.getElementById('app')
if (root !== null) {
  root.replaceChildren()
  render(<App />, root)
}
listenToKeys()
void readSession()
