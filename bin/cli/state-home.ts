/** Where this user's programs keep state (XDG Base Directory Specification); undefined when unset. */
export function stateHome(): string | undefined {
  return process.env["XDG_STATE_HOME"];
}
