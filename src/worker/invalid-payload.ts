/** Marks a payload that no retry repairs, on its way from where it is found to the outcome. */
export class InvalidPayload extends Error {
  readonly #reason: 'invalid-input' | 'invalid-output'

  constructor(reason: 'invalid-input' | 'invalid-output', cause: unknown) {
    super(reason, { cause })
    this.#reason = reason
  }

  /** Unlike `instanceof` this runs no trap of a proxy. */
  static is(thrown: unknown): thrown is InvalidPayload {
    return typeof thrown === 'object' && thrown !== null && #reason in thrown
  }

  get reason(): 'invalid-input' | 'invalid-output' {
    return this.#reason
  }
}

export function asInvalidInput(error: unknown): never {
  throw new InvalidPayload('invalid-input', error)
}

export function asInvalidOutput(error: unknown): never {
  throw new InvalidPayload('invalid-output', error)
}
