/** The engine that Docker's own client would use, as a URL; undefined when unset. */
export function dockerHost(): string | undefined {
  return process.env["DOCKER_HOST"];
}
