/** What every reader of configuration throws; a file of its own, since a small process needs no more. */

/** Configuration that cannot be used; the message is one line for each thing that is wrong. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code: "ERR_CONFIG" | "ERR_CONFIG_UNKNOWN_ENVIRONMENT";
  constructor(message: string, options: { code?: ConfigError["code"]; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = options.code ?? "ERR_CONFIG";
  }
}
