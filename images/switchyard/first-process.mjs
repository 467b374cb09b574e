/**
 * Loaded before any of our programs in a container. The kernel drops a signal that PID 1 has no
 * handler for, so until a program has its own, or where it never has one, a stop would wait for the
 * engine's SIGKILL. Children are not PID 1 and get nothing of this.
 */
import { constants } from "node:os";

process.env.NODE_OPTIONS = process.env.NODE_OPTIONS?.replace(/--import=\S+ ?/, "") ?? "";
if (process.pid === 1) {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(128 + constants.signals[signal]);
    });
  }
}
