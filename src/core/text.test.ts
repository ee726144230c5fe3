import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkName, cleanText, cutText, isPlain } from './text.ts'

test('half an emoji and NUL are replaced visibly, and other text stays as it is', () => {
  assert.equal(cleanText('great 👍'.slice(0, 7)), 'great �')
  assert.equal(cleanText('a\0b'), 'a␀b')
  assert.equal(cleanText('whole 👍\n\u001b'), 'whole 👍\n\u001b')
})

test('a text is cut to bytes, between characters, and tells how much is left out', () => {
  assert.equal(cutText('short', 5), 'short')
  assert.equal(cutText('x'.repeat(100), 40), `${'x'.repeat(16)}… (84 more characters)`)
  const cut = cutText('👍'.repeat(100), 50)
  assert.match(cut, /^(👍)+… \(\d+ more characters\)$/u)
  assert.ok(Buffer.byteLength(cut) <= 50)
  // 20 characters of which each takes 3 bytes: the length alone does not tell.
  assert.ok(Buffer.byteLength(cutText('語'.repeat(20), 40)) <= 40)
})

test('plain text is well-formed and holds no control character', () => {
  assert.ok(isPlain('Größe 👍 日本語'))
  for (const text of ['\ud83d', 'a\0', 'a\nb', '\u001b[2J', '\u009b']) assert.ok(!isPlain(text))
})

test('names are plain, and a refusal shows what was given without harm', () => {
  checkName('mail.send', 'queue')
  for (const name of ['', 'x'.repeat(201), 'a\ud83d', 'a\0b', '\u001b[2J', 5, undefined]) {
    assert.throws(
      () => checkName(name, 'queue'),
      (error: Error & { code: string }) =>
        error.code === 'invalid-option' && isPlain(error.message),
    )
  }
})
