/** Exit codes (one meaning each, for every tool) and which error ends with which. */
export const exitCodes = {
  done: 0,
  failed: 1,
  unsafe: 2,
  refused: 3,
  aborted: 4,
  usage: 64,
  unavailable: 69,
  locked: 75,
  configuration: 78,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Error codes that mean more than "failed". A code that is missing here ends with 1. */
const byErrorCode: Readonly<Record<string, ExitCode>> = {
  ERR_USAGE: exitCodes.usage,
  ERR_CONFIG: exitCodes.configuration,
  ERR_CONFIG_UNKNOWN_ENVIRONMENT: exitCodes.configuration,
  ERR_ABORTED: exitCodes.aborted,
  ERR_REFUSED: exitCodes.refused,
  ERR_LOCKED: exitCodes.locked,
  ERR_UNAVAILABLE: exitCodes.unavailable,
  ERR_DEADLINE: exitCodes.unavailable,
  ERR_CHILD_START: exitCodes.unavailable,
  ERR_MODULE_NOT_FOUND: exitCodes.unavailable,
  ERR_LAB_UNAVAILABLE: exitCodes.unavailable,
  ERR_LAB_MISSING: exitCodes.unavailable,
  ERR_LAB_CUT: exitCodes.unavailable,
  ERR_LAB_UNKNOWN_PART: exitCodes.usage,
};

/** The exit code for a thrown value. */
export function exitCodeOf(error: unknown): ExitCode {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  if (typeof code !== "string" || !Object.hasOwn(byErrorCode, code)) return exitCodes.failed;
  return byErrorCode[code] ?? exitCodes.failed;
}
