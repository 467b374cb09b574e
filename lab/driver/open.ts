/**
 * Gives the driver of a lab. The Docker driver, and with it the client of an engine, is loaded only
 * where it is needed.
 */
import type { DriverKind } from "../addresses.ts";
import type { LabPlace } from "../place.ts";
import type { LabDriver } from "./driver.ts";
import { processDriver } from "./process-driver.ts";

const openers: Readonly<Record<DriverKind, (place: LabPlace) => Promise<LabDriver>>> = {
  process: async (place) => processDriver(place),
  docker: async (place) => {
    const { dockerDriver } = await import("./docker-driver.ts");
    return dockerDriver(place);
  },
};

/** The driver of that kind for the labs of `place`; the caller closes it. */
export async function openDriver(place: LabPlace, kind: DriverKind): Promise<LabDriver> {
  return await openers[kind](place);
}

/** Works with a driver and closes it, whatever happened. */
export async function withDriver<T>(
  place: LabPlace,
  kind: DriverKind,
  work: (driver: LabDriver) => Promise<T>,
): Promise<T> {
  const driver = await openDriver(place, kind);
  try {
    return await work(driver);
  } finally {
    driver.close();
  }
}
