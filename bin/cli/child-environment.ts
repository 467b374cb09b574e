/** The environment that a program started by a command gets. */

/** This process's own environment with `extra` laid over it. */
export function childEnvironment(extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, ...extra };
}
