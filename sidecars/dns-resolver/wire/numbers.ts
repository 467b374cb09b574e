/** The numbers of DNS that this resolver knows by name (the IANA registry "DNS Parameters"). */

export const types = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

export const classes = { IN: 1, CH: 3, ANY: 255 } as const;

export const rcodes = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

/** Extended errors (RFC 8914, 4). */
export const extendedErrors = {
  none: -1,
  staleAnswer: 3,
  notReady: 14,
  notAuthoritative: 20,
  noReachableAuthority: 22,
  networkError: 23,
} as const;

/** Bits of the third and fourth byte of a header (RFC 1035, 4.1.1; RFC 4035, 3.2). */
export const bits = {
  QR: 0x80,
  AA: 0x04,
  TC: 0x02,
  RD: 0x01,
  RA: 0x80,
  AD: 0x20,
  CD: 0x10,
} as const;

export const headerBytes = 12;
/** An OPT record without options. */
export const optBytes = 11;
/** The extended error in an OPT record: option code, length, info code. */
export const extendedErrorBytes = 6;
/** Without EDNS, and as the least size that EDNS can offer (RFC 1035, 4.2.1; RFC 6891, 6.2.3). */
export const plainUdpBytes = 512;
