/**
 * One registry process: its HTTP interface, its store, and the reconciler. It answers /livez from the
 * first moment, everything else once its store answers, and stops without leaving an agent waiting.
 */
import { createServer } from "node:http";
import type { RequestListener, Server } from "node:http";
import { systemClock } from "../kit/clock.ts";
import type { Clock } from "../kit/clock.ts";
import { bindServer, closeServer } from "../kit/http.ts";
import type { Logger } from "../kit/logger.ts";
import type { Service } from "../kit/service.ts";
import { createTurns } from "../kit/turns.ts";
import { registryApp, waitingApp } from "./app.ts";
import { createHearing } from "./hearing.ts";
import { createMetrics } from "./metrics.ts";
import { Polls } from "./polls.ts";
import { startReconciler } from "./reconciler.ts";
import type { RegistryParts } from "./routes.ts";
import type { RegistrySettings, StorePlace } from "./settings.ts";
import { openPostgresStore } from "./store/postgres.ts";
import { openSqliteStore } from "./store/sqlite.ts";
import type { RegistryStore, StoreError, StoreOptions } from "./store/store.ts";
import { Tokens } from "./tokens.ts";
import { ZoneView } from "./zone-view.ts";

/** Agents keep one connection each, and one more while they acknowledge. */
const connectionsMax = 40_000;
/** Flips that wait at the same time; each costs a look at all nodes for each acknowledgement. */
const waitersMax = 64;
const requestTimeoutMs = 30_000;
const keepAliveMs = 75_000;
const closeDeadlineMs = 2000;
/** A store that does not answer at the start is tried again after this long (ms). */
const againMs = 500;

/**
 * Opens the store of a registry; options.zone is the zone that it keeps.
 * @throws StoreError, StoreLockedError, StoreSchemaError
 */
export async function openStore(place: StorePlace, options: StoreOptions): Promise<RegistryStore> {
  return place.kind === "sqlite"
    ? await openSqliteStore(place.folder, options)
    : await openPostgresStore(place.url.reveal(), options);
}

/**
 * Starts a registry; resolves when its store answers.
 * @throws ListenError; what openStore throws, unless it is a database that may answer later; the
 * signal's reason
 */
export async function startRegistry(
  settings: RegistrySettings,
  logger: Logger,
  signal: AbortSignal,
): Promise<Service> {
  let why = "the store is not open yet";
  const door = createDoor(waitingApp(() => why));
  await bindServer(door.server, settings.listen);
  try {
    const options = { zone: settings.zone, logger };
    const store = await openWhenItAnswers(settings.place, options, signal, (error) => {
      why = error.message;
      logger.warn({ step: "store", err: error }, "the store does not answer yet");
    });
    const running = runOn(store, settings, logger);
    door.answer(registryApp(running.parts, createMetrics()));
    return {
      stop: async () => {
        // Those that poll are answered first, or closing would wait for them.
        running.parts.polls.end();
        await Promise.all([closeServer(door.server, closeDeadlineMs), running.stop()]);
        await store.close();
      },
    };
  } catch (error) {
    await closeServer(door.server, 0);
    throw error;
  }
}

interface Door {
  readonly server: Server;
  /** From now on this answers. */
  readonly answer: (listener: RequestListener) => void;
}

function createDoor(first: RequestListener): Door {
  let now = first;
  const options = { keepAliveTimeout: keepAliveMs, requestTimeout: requestTimeoutMs };
  const server = createServer(options, (request, response) => {
    now(request, response);
  });
  server.maxConnections = connectionsMax;
  return { server, answer: (listener) => (now = listener) };
}

/** Codes of a database that is there and says no, for as long as nobody changes something. */
const refusals = /^(28|3D|42)/;

async function openWhenItAnswers(
  place: StorePlace,
  options: StoreOptions,
  signal: AbortSignal,
  onFault: (error: StoreError) => void,
): Promise<RegistryStore> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await openStore(place, options);
    } catch (error) {
      const { code, reason } = error as Partial<StoreError>;
      const mayAnswer = code === "ERR_REGISTRY_STORE" && !refusals.test(reason ?? "");
      if (place.kind === "sqlite" || !mayAnswer) throw error;
      onFault(error as StoreError);
    }
    await systemClock.sleep(againMs, signal);
  }
}

/** What works on an open store until `stop`. */
function runOn(
  store: RegistryStore,
  { zone: zoneName }: RegistrySettings,
  logger: Logger,
): { readonly parts: RegistryParts; readonly stop: () => Promise<void> } {
  const clock: Clock = systemClock;
  const zone = new ZoneView(store, (error) =>
    logger.warn({ step: "look", err: error }, "the zone could not be read"),
  );
  const polls = new Polls(zone, clock);
  const hearing = createHearing({ store, zone, clock });
  const tokens = new Tokens(store, clock);
  const waiters = createTurns(waitersMax, 0);
  const end = store.subscribe("nodes", (id) => {
    tokens.forget(Number(id));
    polls.revoke(Number(id));
  });
  const reconciler = startReconciler({ store, zone: zoneName, clock, logger });
  const reconciles = (): boolean => reconciler.leads();
  return {
    parts: { store, zoneName, zone, polls, hearing, tokens, waiters, clock, logger, reconciles },
    stop: async () => {
      end();
      zone.close();
      await reconciler.stop();
    },
  };
}
