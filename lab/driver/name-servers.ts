/**
 * The name servers of this machine, as containers can use them: not those on its loopback, which in a
 * container is another one (resolv.conf(5); systemd-resolved(8), "/etc/resolv.conf").
 */
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";

/** The second one says what stands behind systemd-resolved, which the first then names alone. */
const files = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"] as const;

/** The addresses; none where this machine names none that a container could reach. */
export async function hostNameServers(): Promise<string[]> {
  for (const file of files) {
    const servers = reachable(await readFile(file, "utf8").catch(() => ""));
    if (servers.length > 0) return servers;
  }
  return [];
}

/** The name servers in the text of a resolv.conf that a container could reach. */
export function reachable(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    const [, address = ""] = /^\s*nameserver\s+(\S+)/.exec(line) ?? [];
    // An address with a zone, such as fe80::1%eth0, is of one interface of this machine.
    const isUsable = isIP(address) > 0 && !address.includes("%");
    return isUsable && !/^(127[.]|::1$|0[.]0[.]0[.]0$|::$)/.test(address) ? [address] : [];
  });
}
