/** The six values of target_session_attrs against every role a session can have. */
import t from "tap";
import { isTargetSessionAttrs, targetSessionAttrs } from "../../client/target/attributes.ts";
import type { Role, TargetSessionAttrs } from "../../client/target/attributes.ts";

const roles: readonly Role[] = [
  { inRecovery: false, readOnly: false },
  { inRecovery: false, readOnly: true },
  { inRecovery: true, readOnly: true },
  // A standby whose answers a pooler mixes up is a standby all the same.
  { inRecovery: true, readOnly: false },
];

/** What each pass accepts of the roles above, in their order. */
const table: Readonly<Record<TargetSessionAttrs, readonly (readonly boolean[])[]>> = {
  any: [[true, true, true, true]],
  "read-write": [[true, false, false, false]],
  "read-only": [[false, true, true, true]],
  primary: [[true, true, false, false]],
  standby: [[false, false, true, true]],
  "prefer-standby": [
    [false, false, true, true],
    [true, true, true, true],
  ],
};

t.test("each value accepts what libpq's manual says it does", (t) => {
  for (const [word, wanted] of Object.entries(table)) {
    if (!isTargetSessionAttrs(word)) {
      t.fail(`${word} is one of the six`);
      continue;
    }
    const { passes } = targetSessionAttrs[word];
    t.same(
      passes.map((pass) => roles.map((role) => pass.accepts(role))),
      wanted,
      word,
    );
    for (const { needsRole, accepts } of passes) {
      t.equal(needsRole, !roles.every((role) => accepts(role)), `${word} asks if it matters`);
    }
  }
  t.same(Object.keys(targetSessionAttrs).sort(), Object.keys(table).sort());
  t.end();
});

t.test("other words are not among them", (t) => {
  for (const word of ["primry", "READ-WRITE", "", "master", "toString", "__proto__"]) {
    t.notOk(isTargetSessionAttrs(word), word);
  }
  t.end();
});
