/**
 * The system calls of the batched engine, by FFI: sockets that give and take many datagrams at once.
 * The structures are those of 64-bit Linux with glibc (recvmmsg(2), sendmmsg(2), eventfd(2), poll(2)).
 */
import { endianness } from "node:os";
import { getSystemErrorName } from "node:util";
import type { Address } from "../../../kit/address.ts";
import { socketAddress } from "./socket-address.ts";

/** An address of memory, as koffi has it. */
export type Pointer = bigint;

/** Each returns -1 for an error, and `errno` says which. */
export interface SystemCalls {
  readonly recvmmsg: (fd: number, messages: Pointer, count: number, flags: number) => number;
  readonly sendmmsg: (fd: number, messages: Pointer, count: number, flags: number) => number;
  readonly sendto: (fd: number, bytes: Uint8Array, flags: number, to: Uint8Array) => number;
  readonly poll: (entries: Pointer, count: number, timeoutMs: number) => number;
  /** Adds one to an eventfd, or takes what it has. */
  readonly signal: (fd: number) => void;
  readonly takeSignal: (fd: number) => void;
  readonly close: (fd: number) => void;
  readonly errno: () => number;
  /** A descriptor on which `poll` waits until `signal` is called. @throws the system's error */
  readonly openSignal: () => number;
  /** A bound UDP socket. @throws the system's error */
  readonly openSocket: (address: Address) => number;
  /** Memory that stays where it is for ever. */
  readonly allocate: (bytes: number) => { readonly at: Pointer; readonly memory: ArrayBuffer };
}

export const systemFlags = { dontWait: 0x40, pollIn: 1 } as const;
const closeOnExec = 0o2_000_000;
const datagrams = 2;
const nonBlocking = 0o4000;
const [socketLevel, receiveBuffer, receiveBufferForce] = [1, 8, 33];
const [version6Level, version6Only] = [41, 26];
const receiveBufferBytes = 4 * 1024 ** 2;

/** Loads them. Rejects where they cannot be had: another system, another C library, no koffi. */
export async function loadSystemCalls(): Promise<SystemCalls> {
  const { arch, platform } = process;
  const isKnown = platform === "linux" && (arch === "x64" || arch === "arm64");
  if (!isKnown || endianness() !== "LE") throw new Error(`not made for ${platform} on ${arch}`);
  const { default: koffi } = await import("koffi");
  const libc = koffi.load("libc.so.6");
  const recvmmsg = libc.func("int recvmmsg(int fd, void *vec, uint n, int flags, void *timeout)");
  const sendmmsg = libc.func("int sendmmsg(int fd, void *vec, uint n, int flags)");
  const sendto = libc.func(
    "long sendto(int fd, void *bytes, size_t n, int flags, void *to, uint length)",
  );
  const write = libc.func("long write(int fd, void *bytes, size_t n)");
  const read = libc.func("long read(int fd, void *bytes, size_t n)");
  const close = libc.func("int close(int fd)");
  const eventfd = libc.func("int eventfd(uint first, int flags)");
  const one = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
  const taken = new Uint8Array(8);
  return {
    recvmmsg: (fd, messages, count, flags) => recvmmsg(fd, messages, count, flags, null) as number,
    sendmmsg: (fd, messages, count, flags) => sendmmsg(fd, messages, count, flags) as number,
    sendto: (fd, bytes, flags, to) => Number(sendto(fd, bytes, bytes.length, flags, to, to.length)),
    poll: libc.func("int poll(void *entries, ulong n, int timeout)") as SystemCalls["poll"],
    signal: (fd) => void write(fd, one, one.length),
    takeSignal: (fd) => void read(fd, taken, taken.length),
    close: (fd) => void close(fd),
    errno: () => koffi.errno(),
    openSignal: () => {
      const fd = eventfd(0, closeOnExec | nonBlocking) as number;
      if (fd < 0) throw systemError("eventfd", koffi.errno());
      return fd;
    },
    openSocket: socketOpener(libc, () => koffi.errno()),
    allocate: (bytes) => {
      const at = koffi.alloc("uint8_t", bytes) as Pointer;
      return { at, memory: koffi.view(at, bytes) };
    },
  };
}

interface Library {
  readonly func: (prototype: string) => (...words: unknown[]) => unknown;
}

function socketOpener(libc: Library, errno: () => number): SystemCalls["openSocket"] {
  const socket = libc.func("int socket(int family, int type, int protocol)");
  const bind = libc.func("int bind(int fd, void *address, uint length)");
  const set = libc.func("int setsockopt(int fd, int level, int name, void *value, uint length)");
  const close = libc.func("int close(int fd)");
  return (address) => {
    const bytes = socketAddress(address);
    const family = bytes[0] ?? 0;
    const fd = socket(family, datagrams | closeOnExec, 0) as number;
    if (fd < 0) throw systemError("socket", errno());
    const option = (level: number, name: number, value: number): number => {
      const word = Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
      return set(fd, level, name, word, word.length) as number;
    };
    if (bytes.length > 16) option(version6Level, version6Only, 1);
    // A burst of a whole host waits in the kernel; without the right to force it, as much as is allowed.
    if (option(socketLevel, receiveBufferForce, receiveBufferBytes) < 0) {
      option(socketLevel, receiveBuffer, receiveBufferBytes);
    }
    if ((bind(fd, bytes, bytes.length) as number) < 0) {
      const error = systemError("bind", errno());
      close(fd);
      throw error;
    }
    return fd;
  };
}

function systemError(call: string, errno: number): Error {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${call} ${code}`), { code, errno: -errno, syscall: call });
}
