/**
 * Why WAL cannot be exported to the folder that the operator wants: it would not be there when the
 * rebuild is done, and `--export` takes the place of accepting its loss.
 */
import type { Layout, MemberSeen } from "./observation.ts";
import type { RebuildRequest } from "./rebuild-actions.ts";

/** In words for the operator; undefined where nothing stands against it, or nothing is exported. */
export function whyNotExport(
  { layout, volumes }: MemberSeen,
  { exportTo, member }: RebuildRequest,
): string | undefined {
  if (exportTo === null || layout === null) return undefined;
  if (exportTo.split("/").some((part) => part === ".." || part === ".")) {
    return `${exportTo} has . or .. in it; name the folder of --export without`;
  }
  if (layout.realExport === null) {
    return `the owner of the data of ${member} can make no folder ${exportTo}`;
  }
  const folder = tidy(layout.realExport);
  const doomed = doomedBy(layout, folder);
  if (doomed !== undefined) {
    return `${exportTo} is in ${doomed}, which a rebuild throws away; choose a folder elsewhere`;
  }
  if (volumes === null || volumes.targets.some((target) => isIn(folder, target))) return undefined;
  // A folder in the data directory's own volume is what nearly every operator can use.
  const home = volumes.targets.filter((target) => isIn(layout.realData, target));
  const choice = (home.length > 0 ? home : volumes.targets).join(" or ");
  return `${exportTo} is not in a volume of container ${volumes.container} and would be gone with it; choose a folder in ${choice}`;
}

/** The directory with `folder` in it that a rebuild moves away or removes. */
function doomedBy({ realData, walLink }: Layout, folder: string): string | undefined {
  if (isIn(folder, realData)) return realData;
  if (walLink !== null && isIn(folder, walLink)) return walLink;
  const beside = /^\.(?:new|ready|old|rewind|work|kept)-[^/]*/.exec(
    folder.startsWith(realData) ? folder.slice(realData.length) : "",
  );
  return beside === null ? undefined : `${realData}${beside[0]}`;
}

function isIn(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

function tidy(path: string): string {
  return path.replaceAll(/\/+/g, "/").replace(/(?<=.)\/$/, "");
}
