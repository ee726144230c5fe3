/** Dialogs: the browser's own, which keep the focus and close on Escape. */
import { signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

export function Dialog({
  title,
  onClose,
  children,
}: {
  readonly title: string
  readonly onClose: () => void
  readonly children: ComponentChildren
}) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const before = document.activeElement
    dialog.current?.showModal()
    return () => {
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog ref={dialog} aria-label={title} onClose={onClose} onCancel={onClose}>
      <h2>{title}</h2>
      {children}
    </dialog>
  )
}

interface Question {
  readonly title: string
  readonly text: string
  readonly action: string
  readonly answer: (yes: boolean) => void
}

const question = signal<Question | null>(null)

/** Asks before something that cannot be taken back. */
export function confirm(title: string, text: string, action: string): Promise<boolean> {
  question.value?.answer(false)
  return new Promise((resolve) => {
    question.value = {
      title,
      text,
      action,
      answer: (yes) => {
        question.value = null
        resolve(yes)
      },
    }
  })
}

export function Questions() {
  const asked = question.value
  if (asked === null) return null
  return (
    <Dialog title={asked.title} onClose={() => asked.answer(false)}>
      <p>{asked.text}</p>
      <p class="actions">
        <button type="button" onClick={() => asked.answer(false)}>
          Keep
        </button>
        <button type="button" class="danger" onClick={() => asked.answer(true)}>
          {asked.action}
        </button>
      </p>
    </Dialog>
  )
}
