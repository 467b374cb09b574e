/** Conditions about who takes writes, and about each member's Postgres by itself. */
import { ageInWords } from "../../../config/units.ts";
import { isFresh, nodeOf } from "../../monitor/nodes.ts";
import { valueOf } from "../view.ts";
import { eachKnownMember, eachPrimary, knownMembers } from "./condition.ts";
import type { Condition } from "./condition.ts";

/** Nobody is known to take writes. */
export const noPrimary: Condition = (view) => {
  if (view.writable.length > 0) return [];
  const silent = view.members.filter((one) => one.role === "unknown").map((one) => one.name);
  const doubt = silent.length === 0 ? "" : `; nothing is known of ${silent.join(", ")}`;
  return [{ part: view.cluster, says: `no member is known to take writes${doubt}` }];
};

/** Two or more members take writes. */
export const splitBrain: Condition = (view) =>
  view.writable.length < 2
    ? []
    : [
        {
          part: view.cluster,
          says: `${view.writable.length} members take writes: ${view.writable.join(", ")}`,
        },
      ];

/** SQLSTATE class 28: invalid authorization; 53300: too many connections. */
const loginRefusedPattern = /^28/;
const connectionsFull = "53300";

function unreached(wanted: (sqlState: string) => boolean): Condition {
  return (view) =>
    view.members.flatMap(({ name, postgres }) =>
      postgres.state === "unreachable" && wanted(postgres.sqlState ?? "")
        ? [{ part: name, says: postgres.error }]
        : [],
    );
}

/** Postgres of a member does not answer this machine. */
export const memberUnreachable: Condition = unreached(
  (sqlState) => !loginRefusedPattern.test(sqlState) && sqlState !== connectionsFull,
);

/** Postgres answers, and does not let us in. */
export const loginRefused: Condition = unreached((sqlState) => loginRefusedPattern.test(sqlState));

/** Postgres answers, and has no connection left for us. */
export const connectionsExhausted: Condition = unreached(
  (sqlState) => sqlState === connectionsFull,
);

/** A running primary that any restart turns into a standby. */
export const primaryArmed: Condition = eachPrimary((facts) =>
  facts.armed === true ? ["standby.signal lies in the data directory of this running primary"] : [],
);

/** A primary that refuses writes by default. */
export const primaryReadOnly: Condition = eachPrimary((facts) =>
  facts.readOnly ? ["it is primary, and default_transaction_read_only is on"] : [],
);

/** Members that were not made from one initdb. */
export const systemIdentifierDiffers: Condition = (view) => {
  const known = knownMembers(view);
  const reference = known.find(({ member }) => member.name === view.primary?.name) ?? known[0];
  return known.flatMap(({ member, facts }) => {
    const expected = reference?.facts.systemIdentifier ?? facts.systemIdentifier;
    if (facts.systemIdentifier === expected) return [];
    const says = `system identifier ${facts.systemIdentifier}, but ${reference?.member.name} has ${expected}`;
    return [{ part: member.name, says }];
  });
};

function versionCondition(differs: (left: number, right: number) => boolean): Condition {
  return (view) => {
    const known = knownMembers(view);
    const reference = known.find(({ member }) => member.name === view.primary?.name) ?? known[0];
    return known.flatMap(({ member, facts }) =>
      reference !== undefined && differs(reference.facts.versionNumber, facts.versionNumber)
        ? [
            {
              part: member.name,
              says: `PostgreSQL ${facts.version}, but ${reference.member.name} has ${reference.facts.version}`,
            },
          ]
        : [],
    );
  };
}

const major = (version: number): number => Math.floor(version / 10_000);

/** Physical replication works within one major version. */
export const serverVersionDiffers = versionCondition((left, right) => major(left) !== major(right));

/** The members wait for an update to be rolled through. */
export const minorVersionDiffers = versionCondition(
  (left, right) => major(left) === major(right) && left !== right,
);

/** A manager is at work that the environment does not name. */
export const foreignManager: Condition = eachKnownMember((facts, member) =>
  facts.managers
    .filter((one) => one !== member.declared.manager)
    .map(
      (one) => `${one} is at work here; the environment says manager: ${member.declared.manager}`,
    ),
);

/** The environment names a manager that is nowhere to be seen. */
export const managerNotSeen: Condition = eachPrimary((facts, member, { monitor }) => {
  const { manager } = member.declared;
  const node = nodeOf((monitor === null ? null : valueOf(monitor)) ?? [], member.name);
  // Between its looks a keeper has no session here, and the monitor hears of it all the time.
  if (manager === "pg_auto_failover" && node !== undefined && isFresh(node)) return [];
  return manager === "none" || facts.managers.includes(manager)
    ? []
    : [`the environment says manager: ${manager}, and it is not seen at work`];
});

const connectionsShare = 0.9;

/** Soon nobody can log in any more. */
export const connectionsNearlyExhausted: Condition = eachKnownMember((facts) => {
  const { settings, sessions } = facts;
  const reserved =
    Number(settings["superuser_reserved_connections"] ?? 0) +
    Number(settings["reserved_connections"] ?? 0);
  const limit = Number(settings["max_connections"] ?? Infinity) - reserved;
  return sessions >= limit * connectionsShare
    ? [`${sessions} of ${limit} connections are taken`]
    : [];
});

/** Long enough that no client comes back to commit: prepared ones hold locks and stop vacuum. */
const preparedAgeS = 600;

/** A two-phase commit that was forgotten. */
export const preparedTransactionOld: Condition = eachKnownMember((facts) =>
  (facts.oldestPreparedS ?? 0) > preparedAgeS
    ? [
        `${facts.preparedTransactions} prepared, the oldest ${ageInWords(facts.oldestPreparedS ?? 0)} ago`,
      ]
    : [],
);

const transactionAgeS = 3600;

/** An open transaction that stops vacuum, and that a flip would have to wait for or end. */
export const transactionLong: Condition = eachPrimary((facts) =>
  (facts.oldestTransactionS ?? 0) > transactionAgeS
    ? [`a transaction has been open for ${ageInWords(facts.oldestTransactionS ?? 0)}`]
    : [],
);

/** A page read from disk was not what had been written. */
export const checksumFailing: Condition = eachKnownMember((facts) =>
  facts.checksumFailures > 0 ? [`${facts.checksumFailures} pages failed their checksum`] : [],
);

/** Three quarters of the way to where PostgreSQL stops taking writes (manual, 25.1.5). */
const xidAgeLimit = 1_500_000_000;

/** Vacuum has not frozen old rows for very long. */
export const wraparoundNear: Condition = eachPrimary((facts) =>
  facts.xidAge > xidAgeLimit
    ? [`the oldest database is ${facts.xidAge} transactions old; writes stop near 2147000000`]
    : [],
);

/** WAL is not archived and piles up. */
export const archiverFailing: Condition = eachPrimary(({ archiver, settings }) => {
  if ((settings["archive_mode"] ?? "off") === "off" || archiver.lastFailedAt === null) return [];
  const { lastArchivedAt, lastFailedAt, lastFailedWal, failedCount } = archiver;
  if (lastArchivedAt !== null && Date.parse(lastArchivedAt) >= Date.parse(lastFailedAt)) return [];
  return [`archiving ${lastFailedWal ?? "WAL"} failed, ${failedCount} failures so far`];
});

/** Archiving is on and nothing says how. */
export const archiveCommandEmpty: Condition = eachPrimary(({ settings }) =>
  (settings["archive_mode"] ?? "off") !== "off" &&
  settings["archive_command"] === "" &&
  (settings["archive_library"] ?? "") === ""
    ? ["archive_mode is on and archive_command is empty: WAL is kept for ever"]
    : [],
);

/** Changed settings that only a restart brings into force. */
export const restartPending: Condition = eachKnownMember((facts) =>
  facts.pendingRestart.length > 0
    ? [`a restart will change ${facts.pendingRestart.join(", ")}`]
    : [],
);

/** Files of the data directory are closed to the login of the environment. */
export const loginLacksPrivilege: Condition = eachKnownMember((facts) =>
  facts.armed === null
    ? ["the login may not look into the data directory: whether it is armed is not known"]
    : [],
);

/** pg-health of a member does not answer this machine. */
export const healthUnreachable: Condition = (view) =>
  view.members.flatMap(({ name, health }) =>
    health.state === "known" ? [] : [{ part: name, says: health.error }],
  );

const rightWords = {
  primary: ["primary", "fenced", "split-brain"],
  readOnly: ["read-only", "fenced", "split-brain"],
  standby: ["standby"],
} as const;

/** pg-health and Postgres tell different stories. */
export const healthDisagrees: Condition = (view) =>
  view.members.flatMap(({ name, health, postgres }) => {
    const status = valueOf(health);
    if (status === null) return [];
    if (status.member !== null && status.member !== name) {
      return [{ part: name, says: `the pg-health declared for it belongs to ${status.member}` }];
    }
    const facts = valueOf(postgres);
    if (facts === null) {
      return status.answer === "primary"
        ? [
            {
              part: name,
              says: "pg-health answers primary, but Postgres cannot be asked from here",
            },
          ]
        : [];
    }
    const state = facts.role === "primary" && facts.readOnly ? "readOnly" : facts.role;
    const right: readonly string[] = rightWords[state];
    if (right.includes(status.answer)) return [];
    const says = `Postgres is ${facts.role}, but pg-health answers ${status.answer}: ${status.reason}`;
    return [{ part: name, says }];
  });

/** pg-health keeps a primary out of service because of another primary. */
export const peerFenced: Condition = (view) =>
  view.members.flatMap(({ name, health }) => {
    const status = valueOf(health);
    if (status === null || !["fenced", "split-brain"].includes(status.answer)) return [];
    return [{ part: name, says: `pg-health answers ${status.answer}: ${status.reason}` }];
  });

/** pg-health lives on an old answer. */
export const healthSlow: Condition = (view) =>
  view.members.flatMap(({ name, health }) => {
    const status = valueOf(health);
    return status?.slow === true
      ? [{ part: name, says: `Postgres is slow to answer pg-health: ${status.reason}` }]
      : [];
  });
