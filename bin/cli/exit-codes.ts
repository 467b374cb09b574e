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

/** Every error code and what it means to the shell. What has no code ends with 1. */
const byErrorCode: Readonly<Record<string, ExitCode>> = {
  ERR_USAGE: exitCodes.usage,
  ERR_CONFIG: exitCodes.configuration,
  ERR_CONFIG_UNKNOWN_ENVIRONMENT: exitCodes.configuration,
  ERR_ABORTED: exitCodes.aborted,
  ERR_REFUSED: exitCodes.refused,
  ERR_LOCKED: exitCodes.locked,
  ERR_DEADLINE: exitCodes.unavailable,
  ERR_CHILD_START: exitCodes.unavailable,
  ERR_MODULE_NOT_FOUND: exitCodes.unavailable,
  ERR_HAPROXY_MODEL: exitCodes.configuration,
  ERR_HAPROXY_MISSING: exitCodes.unavailable,
  ERR_HAPROXY_TOO_OLD: exitCodes.unavailable,
  ERR_HAPROXY_CONFIGURATION: exitCodes.refused,
  ERR_HAPROXY_FILE: exitCodes.unavailable,
  ERR_HAPROXY_NO_RELOAD: exitCodes.configuration,
  ERR_HAPROXY_RELOAD: exitCodes.failed,
  ERR_POOLER_MODEL: exitCodes.configuration,
  ERR_TEMPLATE: exitCodes.configuration,
  ERR_HAPROXY_COMMAND: exitCodes.usage,
  ERR_HAPROXY_UNREACHABLE: exitCodes.unavailable,
  ERR_HAPROXY_TIMEOUT: exitCodes.unavailable,
  ERR_HAPROXY_PERMISSION: exitCodes.unavailable,
  ERR_HAPROXY_PROTOCOL: exitCodes.unavailable,
  ERR_HAPROXY_VERSION: exitCodes.unavailable,
  ERR_HAPROXY_REFUSED: exitCodes.failed,
  ERR_HAPROXY_READBACK: exitCodes.failed,
  ERR_LAB_UNAVAILABLE: exitCodes.unavailable,
  ERR_LAB_MISSING: exitCodes.unavailable,
  ERR_LAB_CUT: exitCodes.unavailable,
  ERR_LAB_UNKNOWN_PART: exitCodes.usage,
  ERR_YAML: exitCodes.configuration,
  ERR_SECRET: exitCodes.configuration,
  ERR_CHILD_FAILED: exitCodes.failed,
  ERR_CHILD_OUTPUT: exitCodes.failed,
  ERR_LISTEN: exitCodes.unavailable,
  ERR_PG_SESSION: exitCodes.unavailable,
  ERR_LAB_CHANGE: exitCodes.failed,
  ERR_CONTROL_DATA: exitCodes.failed,
  ERR_LAB_PART: exitCodes.failed,
  ERR_HAPROXY_REPLY: exitCodes.unavailable,
  ERR_HEALTH_UNREACHABLE: exitCodes.unavailable,
  ERR_HEALTH_REPLY: exitCodes.unavailable,
  ERR_CONNECTION: exitCodes.unavailable,
  ERR_KNOCK: exitCodes.unavailable,
  ERR_REPLICA_QUERY: exitCodes.failed,
  ERR_SAMPLE: exitCodes.failed,
  ERR_JOURNAL: exitCodes.failed,
  ERR_LOCK_LOST: exitCodes.failed,
  ERR_STEP: exitCodes.failed,
  ERR_STOP_INTERRUPTED: exitCodes.failed,
};

/** The exit code for a thrown value. */
export function exitCodeOf(error: unknown): ExitCode {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  if (typeof code !== "string" || !Object.hasOwn(byErrorCode, code)) return exitCodes.failed;
  return byErrorCode[code] ?? exitCodes.failed;
}
