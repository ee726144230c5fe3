/** Codecs turn the JSON of input, output and errors into other text and back: to encrypt it or to compress it. */

/**
 * A two-way translation of text. Jobs record the name of the codec that wrote them, so the name must change
 * when the format does; keep the old codec under `codecs` until its last job is gone.
 */
export interface Codec {
  readonly name: string
  /** Must give text that `decode` turns back into exactly `text`. */
  encode(text: string): string
  /** Throws when the text is not its own, was changed, or the key is wrong. */
  decode(text: string): string
}
