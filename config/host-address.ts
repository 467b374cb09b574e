/** Which IP addresses a server can have. */
import { BlockList, isIPv6 } from "node:net";

/** No host's: "this network", limited broadcast, multicast (RFC 1122, 3.2.1.3; RFC 4291, 2.5.2, 2.7). */
const noHosts = new BlockList();
noHosts.addSubnet("0.0.0.0", 8);
noHosts.addSubnet("224.0.0.0", 4);
noHosts.addAddress("255.255.255.255");
noHosts.addAddress("::", "ipv6");
noHosts.addSubnet("ff00::", 8, "ipv6");

/**
 * Whether an IP address can be that of a server: not one that stands for no host, or for many. A
 * program that connects to 0.0.0.0 reaches itself, and HAProxy whatever its client has dialled.
 */
export function isHostAddress(ip: string): boolean {
  return !noHosts.check(ip, isIPv6(ip) ? "ipv6" : "ipv4");
}
