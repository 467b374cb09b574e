/**
 * A value that must not be printed. It shows itself as [redacted] to string templates, JSON and
 * util.inspect; the one way to the text is reveal().
 */
import { inspect } from "node:util";

const redacted = "[redacted]";

export class Secret {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  /** The text itself, for the one call that hands it to the peer it is meant for. */
  reveal(): string {
    return this.#text;
  }
  toString(): string {
    return redacted;
  }
  toJSON(): string {
    return redacted;
  }
  [inspect.custom](): string {
    return redacted;
  }
}

/** In the place of a secret that was not read, for a command that needs none. */
export class UnreadSecret extends Secret {
  constructor() {
    super("");
  }
  override reveal(): never {
    throw new TypeError("a secret that was left unread is needed after all");
  }
}
