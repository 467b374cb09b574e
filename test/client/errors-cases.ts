/** What errors say, and the code that they bear. */
import t from "tap";
import { asAttemptError, AttemptError, ConnectError } from "../../client/errors.ts";
import { attemptFault } from "../../client/session/faults.ts";
import type { AttemptReason, FailedAttempt } from "../../client/errors.ts";

const errno = (code: string): Error => Object.assign(new Error(`connect ${code}`), { code });

t.test("errors: what a socket threw has a reason", (t) => {
  const cases: readonly [given: unknown, reason: AttemptReason, code: string | undefined][] = [
    [errno("ECONNREFUSED"), "refused", "ECONNREFUSED"],
    [errno("ENOENT"), "refused", "ENOENT"],
    [errno("EHOSTUNREACH"), "unreachable", "EHOSTUNREACH"],
    [errno("ENETUNREACH"), "unreachable", "ENETUNREACH"],
    [errno("ETIMEDOUT"), "timeout", "ETIMEDOUT"],
    [errno("ECONNRESET"), "closed", "ECONNRESET"],
    [errno("ECONNABORTED"), "closed", "ECONNABORTED"],
    [errno("ENETRESET"), "closed", "ENETRESET"],
    [errno("ENETDOWN"), "unreachable", "ENETDOWN"],
    [errno("EHOSTDOWN"), "unreachable", "EHOSTDOWN"],
    [errno("CERT_HAS_EXPIRED"), "tls", "CERT_HAS_EXPIRED"],
    [new Error("what"), "tls", undefined],
    ["a string", "tls", undefined],
    [undefined, "tls", undefined],
  ];
  for (const [given, reason, code] of cases) {
    const error = asAttemptError(given, "tls");
    t.same([error.reason, error.code, error.stops], [reason, code, false], String(given));
  }
  const own = new AttemptError("full", "no room", { code: "53300" });
  t.equal(asAttemptError(own), own);
  t.end();
});

t.test("errors: what the system says of one socket stops no search, at any phase", (t) => {
  for (const phase of ["tcp", "tls", "startup", "role"] as const) {
    for (const code of ["ENETDOWN", "ENEWSTUFF"]) {
      const thrown = Object.assign(errno(code), { syscall: "read" });
      const { stops, reason } = attemptFault(thrown, phase);
      t.notOk(stops, `${code} at ${phase}`);
      t.not(reason, "authentication");
    }
  }
  const none = attemptFault(
    new Error("SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string"),
    "startup",
  );
  t.match(none, { reason: "authentication", stops: true, message: /none was given/ });
  t.end();
});

const at = (address: string | undefined, reason: AttemptReason, code?: string): FailedAttempt => ({
  host: "db",
  address,
  port: 5432,
  reason,
  code,
  message: "line one\nline two",
  ms: 3,
  cause: undefined,
});

const made = (attempts: readonly FailedAttempt[], stoppedBy?: FailedAttempt): ConnectError =>
  new ConnectError({
    wanted: "primary",
    targets: ["db:5432"],
    attempts,
    rounds: 1,
    ms: 9.7,
    stoppedBy,
  });

t.test("errors: the code is what apps test for", (t) => {
  const refused = at("10.0.0.1", "refused", "ECONNREFUSED");
  t.equal(made([refused, at("10.0.0.2", "refused", "ECONNREFUSED")]).code, "ECONNREFUSED");
  t.equal(made([refused, at("10.0.0.2", "role")]).code, "ERR_NO_SERVER");
  t.equal(made([at("10.0.0.2", "role")]).code, "ERR_NO_SERVER");
  t.equal(made([]).code, "ERR_NO_SERVER");
  t.equal(made([at(undefined, "dns", "ETIMEOUT")]).code, "ERR_DNS");
  t.equal(made([at(undefined, "dns", "ESERVFAIL"), at(undefined, "dns", "X")]).code, "ERR_DNS");
  t.equal(made([at(undefined, "dns", "ENOTFOUND")]).code, "ENOTFOUND", "as Node has it");
  const wrong = at("::1", "authentication", "28P01");
  t.equal(made([refused, wrong], wrong).code, "28P01");
  t.end();
});

t.test("errors: one line says what was looked for and what each address said", (t) => {
  const { message } = made([
    at("::1", "role"),
    at(undefined, "dns"),
    at("/run/.s.PGSQL.1", "refused"),
  ]);
  t.equal(
    message,
    "no server for primary among db:5432 (10 ms, 1 round): [::1]:5432 (db) role: line one line two; " +
      "db:5432 dns: line one line two; /run/.s.PGSQL.1 refused: line one line two",
  );
  t.match(made([]).message, /nothing answered$/);
  const wrong = at("::1", "authentication", "28P01");
  t.notMatch(made([at("10.0.0.9", "refused"), wrong], wrong).message, "10.0.0.9");
  t.end();
});
