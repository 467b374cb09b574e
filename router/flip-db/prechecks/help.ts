/**
 * What helps against each finding of the prechecks: a command, or a sentence. ENV, FROM and TO
 * stand for the environment, the old primary and the standby.
 */
export const helps = {
  "H1-one-writer":
    "Find out with bin/recovery ENV topology, and fence the one that must not write.",
  "H1-target": "Name a standby: --to MEMBER.",
  "H1-two-members": "A flip of more than two members is not supported.",
  "H1-identity": "Correct the addresses in the environment.",
  "H1-pooler-target":
    "Correct [databases] of that PgBouncer: a node pooler leads to its own Postgres for ever.",
  "H1-manager": "Use the manager's own command.",
  "H1-monitor":
    "See pg_autoctl show state on its host; bin/recovery ENV topology shows it as well.",
  "H1-control": "Declare members[].control in the environment, and see that its shell works.",
  "H1-superuser": "Declare a superuser as login in the environment.",
  "H1-health": "Start or mend pg-health there: the routers follow it.",
  "H2-streaming":
    "See bin/recovery ENV topology and the network between the two; let it follow again, or run bin/recovery ENV rebuild-standby --member TO.",
  "H2-replay-paused": "On TO: SELECT pg_wal_replay_resume().",
  "H2-apply-delay": "On TO: set recovery_min_apply_delay to 0 and reload.",
  "H2-recovery-target": "On TO: reset it and restart Postgres.",
  "H3-lag": "Wait until it has caught up; accepted, clients wait that long, or the flip is undone.",
  "H4-settings": "Raise them on TO and restart its Postgres: FROM could not follow it.",
  "H4-room": "Drop a slot that nobody uses, or raise the limit on TO and restart it.",
  "H4-reverse": "Correct primary_conninfo of FROM, and pg_hba.conf of TO.",
  "H5-archiver": "Mend archive_command on FROM; accepted, its last WAL may stay unarchived.",
  "H5-archive-backlog":
    "Wait until the archiver has caught up; accepted, its shutdown may take long.",
  "H6-base-backup": "Wait for it, or end it.",
  "H6-late-receiver": "The flip goes on without them once its proof holds; end them to be quicker.",
  "H6-receiver": "Point them at TO after the flip.",
  "H6-sender-timeout": "On FROM: set wal_sender_timeout to 60s or less and reload.",
  "H6-shutdown-timeout": "On FROM: set wal_sender_shutdown_timeout to -1 and reload.",
  "H7-transactions":
    "Wait, or end it: SELECT pg_terminate_backend(PID). Accepted, it is cut, or the pause is given up.",
  "H7-idle-transactions":
    "End it: SELECT pg_terminate_backend(PID). Accepted, it is cut, or the pause is given up.",
  "H7-prepared": "COMMIT PREPARED or ROLLBACK PREPARED it; accepted, it goes along, its locks too.",
  "H7-advisory-locks": "No lock of a session outlives a flip: its holder must take it again.",
  "H8-synchronous": "On TO: let synchronous_standby_names name FROM, or nobody.",
  "H8-synchronous-old":
    "FROM is started right after the promotion; flip.synchronous says what then.",
  "H8-read-only": "On TO: reset default_transaction_read_only and reload.",
  "H9-logical-slots":
    "Create them with failover, and switch sync_replication_slots on (PostgreSQL 17); accepted, their consumers begin anew.",
  "H10-rewind": "Switch wal_log_hints on, or enable checksums.",
  "H10-disk": "Make room, or a rebuild by base backup will fail.",
  "H11-node-pooler":
    "Start it, or declare its admin login; accepted, it may hold sessions of its past role.",
  "H11-node-paused": "Resume or mend it at its admin console.",
  "H11-node-settings": "Set it as the rendered PgBouncer configuration does, and reload PgBouncer.",
  "H11-edge-pooler": "Start it; accepted, its clients get errors until they reach a router again.",
  "H11-edge-paused": "Resume or mend it at its admin console.",
  "H11-edge-settings": "Set it as the rendered PgBouncer configuration does, and reload PgBouncer.",
  "H11-gate": "Wait until its holder is done; a lease ends by itself.",
  "H11-seamless":
    "Clients are closed once instead: put each edge pooler behind a pool-gate, in transaction mode.",
  "H11-direct": "These sessions are closed once. Let their clients come through an edge pooler.",
  "H11-past-routers":
    "These sessions are closed once. Let their clients come through an edge pooler.",
  "H11-past-edges":
    "These sessions are closed once. Let their clients come through an edge pooler.",
  "H11-unheld": "These sessions are closed once. Let their clients come through an edge pooler.",
  "H12-routers":
    "Start it, or take it out of the environment if it is gone for good; accepted, it is left out.",
  "H12-router-state":
    "See bin/recovery ENV topology; bin/router ENV set BACKEND/SERVER ready takes back what was forced.",
  "H12-fenced": "bin/recovery ENV unfence MEMBER",
  "H12-old-workers": "bin/router ENV sessions --close-old-workers, or declare the master socket.",
  "H12-drift": "Compare with bin/router ENV diff.",
  "H12-versions": "Nothing needs to be done.",
  "H12-no-router": "Clients must find the new primary by themselves.",
  "H13-operation": "Wait until it has ended.",
  "H13-unfinished": "bin/recovery ENV flip-db --resume or --abort",
  "H13-armed": "An earlier flip left it: bin/recovery ENV flip-db --abort.",
  "H14-restore": "Each missing history file costs that much of the pause.",
  "H15-programs": "Install the server's programs there, and declare control.programs.",
  "H16-registry":
    "Start it on its host (bin/registry start), or correct registry in the environment; where it answers, bin/registry status says what it lacks; accepted, the names stay on FROM until it can follow.",
  "H16-resolvers": "Start it there (bin/dns-resolver); until it is back it may answer with FROM.",
  "S1-cold-cache":
    "Warm it on TO with pg_prewarm before the flip, or expect slower reads at first.",
  "S2-not-replicated": "Autovacuum starts its counts anew.",
} as const;
