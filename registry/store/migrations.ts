/**
 * The schema of the registry's store as numbered steps. A step that was released is never changed; a
 * change is a new step. {key} and {text} are filled in by the dialect (database.ts).
 */

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly statements: readonly string[];
}

export const migrations: readonly Migration[] = [
  {
    number: 1,
    name: "zone, nodes, clusters, tokens",
    statements: [
      // One row: the zone's state. `compacted` is the highest generation whose tombstones are gone.
      `CREATE TABLE dns_generation (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        epoch TEXT NOT NULL,
        zone TEXT NOT NULL,
        current BIGINT NOT NULL,
        zone_hash TEXT NOT NULL,
        record_count BIGINT NOT NULL,
        compacted BIGINT NOT NULL
      )`,
      `CREATE TABLE nodes (
        id {key},
        name {text} NOT NULL,
        address TEXT,
        token_hash TEXT NOT NULL,
        revoked INTEGER NOT NULL DEFAULT 0,
        applied_generation BIGINT NOT NULL DEFAULT 0,
        applied_at TEXT,
        last_sync_at TEXT,
        record_count BIGINT,
        errors TEXT NOT NULL DEFAULT '[]'
      )`,
      // The name of a node that was revoked is free again.
      "CREATE UNIQUE INDEX nodes_name ON nodes (name) WHERE revoked = 0",
      `CREATE TABLE clusters (
        id {key},
        name {text} NOT NULL UNIQUE,
        source TEXT NOT NULL,
        lag_bytes BIGINT,
        roles TEXT NOT NULL
      )`,
      `CREATE TABLE cluster_members (
        id {key},
        cluster_id BIGINT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
        name {text} NOT NULL,
        ordinal INTEGER NOT NULL,
        address TEXT,
        port INTEGER NOT NULL,
        node TEXT,
        published_port INTEGER,
        UNIQUE (cluster_id, name),
        UNIQUE (cluster_id, ordinal)
      )`,
      `CREATE TABLE service_endpoints (
        id {key},
        fqdn {text} NOT NULL,
        record_type {text} NOT NULL CHECK (record_type IN ('A', 'AAAA', 'SRV', 'CNAME')),
        target_ip TEXT,
        target_port INTEGER,
        ttl INTEGER NOT NULL CHECK (ttl BETWEEN 1 AND 86400),
        owner_kind {text} NOT NULL,
        owner_id BIGINT NOT NULL,
        node_id BIGINT REFERENCES nodes (id),
        generation BIGINT NOT NULL
      )`,
      "CREATE INDEX service_endpoints_zone ON service_endpoints (fqdn, record_type, id)",
      "CREATE INDEX service_endpoints_generation ON service_endpoints (generation)",
      "CREATE INDEX service_endpoints_owner ON service_endpoints (owner_kind, owner_id)",
      `CREATE INDEX service_endpoints_cname ON service_endpoints (fqdn)
        WHERE record_type = 'CNAME'`,
      `CREATE TABLE dns_tombstones (
        record_id BIGINT PRIMARY KEY,
        generation BIGINT NOT NULL
      )`,
      "CREATE INDEX dns_tombstones_generation ON dns_tombstones (generation)",
      "CREATE TABLE admin_tokens (token_hash TEXT PRIMARY KEY)",
    ],
  },
  {
    number: 2,
    name: "the term of the lead",
    statements: [
      // One row: whoever takes the lead raises it, and what an older one writes is refused.
      `CREATE TABLE registry_lead (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        term BIGINT NOT NULL
      )`,
      "INSERT INTO registry_lead VALUES (1, 0)",
    ],
  },
];
