"""Irrevocable restrictions of a process by the Linux kernel: files by Landlock, system calls by seccomp.

Landlock denies access to files, ports and other processes, as far as the kernel supports it:
https://docs.kernel.org/userspace-api/landlock.html. A seccomp filter, on x86-64 and aarch64, allows the calls that
decoding needs. Calls that only an attacker would make (connections, other processes or their memory) kill the process
at once, so that the parent notices and can report it; all others fail with EPERM, as in many containers.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

_NO_NEW_PRIVILEGES = 38

# Landlock.
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, on every machine
_VERSION_FLAG, _PATH_RULE = 1, 1

EXECUTE, _WRITE, READ_FILE, READ_FOLDER = 1, 2, 4, 8
_REMOVE_FOLDER, _REMOVE_FILE, _MAKE_FOLDER, _MAKE_FILE, _TRUNCATE = 0x10, 0x20, 0x80, 0x100, 0x4000
READ = READ_FILE | READ_FOLDER
WRITE = READ | _WRITE | _TRUNCATE
ADD = WRITE | _MAKE_FILE | _MAKE_FOLDER  # but not to remove, so that disk use can be measured
_OF_FILES = EXECUTE | _WRITE | READ_FILE | _TRUNCATE

_FILE_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}  # version -> all rights that it can deny
_PORTS_SINCE, _SCOPES_SINCE = 4, 6
_PORTS = 3  # TCP: bind and connect
_SCOPES = 3  # abstract sockets of, and signals to, processes outside

# Seccomp.
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # names in `platform` -> numbers in the kernel

_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_FILTER, _GET_ACTION = 1, 2
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000  # _FAIL is combined with an errno
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16  # offsets in the filter's input, bytes
_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_X32 = 0x40000000  # flag of the x32 variants of calls
_NEWEST = 453  # later calls are unknown here; they fail with ENOSYS, so that the C library falls back to older ones

_O_TRUNC, _O_ACCMODE = 0x200, 3  # O_TRUNC, and the bits that distinguish reading (0) from writing
_SHARED_NOWHERE = 0x21  # MAP_SHARED | MAP_ANONYMOUS: memory that no limit covers
_PRIVATE_NOWHERE, _EXECUTABLE = 0x20, 4
_THREAD, _VFORK = 0x10000, 0x4000  # flags of clone
_IOCTLS = (0x541B, 0x5451, 0x5450, 0x5401)  # FIONREAD, FIOCLEX, FIONCLEX, and TCGETS (isatty)
_PRCTLS = (15, 16, 0x53564D41)  # names of a thread and of memory


@cache
def _library() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: int | bytes | None) -> int:
    """A system call by its number -> its result; -1 if it failed, with the reason in `ctypes.get_errno`."""
    ready = [value if isinstance(value, bytes | None) else ctypes.c_long(value) for value in arguments]
    return int(_library().syscall(ctypes.c_long(number), *ready))


def set_no_new_privs() -> None:
    """Keep this process and its children from gaining privileges by executing programs. Raises OSError."""
    if _library().prctl(_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS is refused")


def read_landlock_version() -> int:
    """The version of Landlock in this kernel; 0 if it is missing or forbidden."""
    return max(call(_CREATE, None, 0, _VERSION_FLAG), 0)


def bounds_signals() -> bool:
    """Whether Landlock can deny signals to processes outside."""
    return read_landlock_version() >= _SCOPES_SINCE


def restrict_files(rights: Iterable[tuple[str, int]]) -> None:
    """Restrict this thread and its children to these rights on these paths.

    TCP ports (from version 4) and processes outside (from version 6) are denied altogether. Missing paths are ignored.
    Raises OSError if the kernel refuses.
    """
    version = read_landlock_version()
    handled = max(mask for since, mask in _FILE_RIGHTS.items() if since <= version)
    attributes = struct.pack(
        "=QQQ", handled, _PORTS if version >= _PORTS_SINCE else 0, _SCOPES if version >= _SCOPES_SINCE else 0
    )
    known = attributes[: 24 if version >= _SCOPES_SINCE else 16 if version >= _PORTS_SINCE else 8]
    ruleset = _check(call(_CREATE, known, len(known), 0))
    try:
        for path, right in rights:
            _allow(ruleset, path, right & handled)
        set_no_new_privs()
        _check(call(_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, right: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        right = right if os.path.isdir(path) else right & _OF_FILES  # noqa: PTH112
        _check(call(_ADD, ruleset, _PATH_RULE, struct.pack("=Qi", right, descriptor), 0))
    finally:
        os.close(descriptor)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock is refused: {os.strerror(number)}")
    return result


def _read_numbers(text: str) -> dict[str, dict[str, int]]:
    """`name:number on x86-64:number on aarch64`, with empty numbers if missing -> machine -> name -> number."""
    rows = [word.split(":") for word in text.split()]
    return {
        machine: {row[0]: int(row[index]) for row in rows if row[index]}
        for index, machine in enumerate(MACHINES, start=1)
    }


_ALLOWED = _read_numbers(
    """
    read:0:63 write:1:64 readv:19:65 writev:20:66 pread64:17:67 pwrite64:18:68 preadv:295:69 lseek:8:62 close:3:57
    close_range:436:436 access:21: faccessat:269:48 faccessat2:439:439 stat:4: fstat:5:80
    lstat:6: newfstatat:262:79 statx:332:291 statfs:137:43 fstatfs:138:44 readlink:89: readlinkat:267:78
    getdents64:217:61 getcwd:79:17 dup:32:23 dup2:33: dup3:292:24 pipe:22: pipe2:293:59 fcntl:72:25 ftruncate:77:46
    fsync:74:82 fdatasync:75:83 fadvise64:221:223 flock:73:32 umask:95:166 mkdir:83: mkdirat:258:34
    unlink:87: unlinkat:263:35 rmdir:84: rename:82: renameat:264:38 renameat2:316:276 brk:12:214 munmap:11:215
    mremap:25:216 madvise:28:233 mincore:27:232 membarrier:324:283 futex:202:98 futex_waitv:449:449
    set_robust_list:273:99 get_robust_list:274:100 rseq:334:293 set_tid_address:218:96 exit:60:93 exit_group:231:94
    restart_syscall:219:128 gettid:186:178 getpid:39:172 getppid:110:173 getuid:102:174 geteuid:107:175
    getgid:104:176 getegid:108:177 getpgid:121:155 getpgrp:111: getsid:124:156 getgroups:115:158 capget:125:90
    sched_yield:24:124 sched_getaffinity:204:123 sched_getparam:143:121 sched_getscheduler:145:120
    sched_get_priority_max:146:125 sched_get_priority_min:147:126 getpriority:140:141 getcpu:309:168 arch_prctl:158:
    rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigtimedwait:128:137 rt_sigpending:127:136
    sigaltstack:131:132 clock_gettime:228:113 clock_getres:229:114 clock_nanosleep:230:115 nanosleep:35:101
    gettimeofday:96:169 time:201: times:100:153 getrusage:98:165 poll:7: ppoll:271:73 select:23: pselect6:270:72
    epoll_create1:291:20 epoll_ctl:233:21 epoll_wait:232: epoll_pwait:281:22 eventfd2:290:19 getrandom:318:278
    uname:63:160 sysinfo:99:179 getrlimit:97:163 setrlimit:160:164
    """
)
_BY_ARGUMENT = _read_numbers(
    """
    open:2: openat:257:56 clone:56:220 clone3:435:435 mmap:9:222 mprotect:10:226 ioctl:16:29 prctl:157:167
    prlimit64:302:261 kill:62:129 tgkill:234:131
    """
)
_STARTING = _read_numbers(
    """
    vfork:58: execve:59:221 wait4:61:260 waitid:247:95
    """
)
_DEADLY = _read_numbers(
    """
    fork:57: vfork:58: execve:59:221 execveat:322:281 socket:41:198 socketpair:53:199 connect:42:203 bind:49:200
    listen:50:201 accept:43:202 accept4:288:242 sendto:44:206 sendmsg:46:211 sendmmsg:307:269 recvfrom:45:207
    recvmsg:47:212 ptrace:101:117 process_vm_readv:310:270 process_vm_writev:311:271 process_madvise:440:440
    kcmp:312:272 pidfd_open:434:434 pidfd_getfd:438:438 pidfd_send_signal:424:424 tkill:200:130
    rt_sigqueueinfo:129:138 rt_tgsigqueueinfo:297:240 setsid:112:157 setpgid:109:154 setuid:105:146 setgid:106:144
    setresuid:117:147 setresgid:119:149 setreuid:113:145 setregid:114:143 setgroups:116:159 capset:126:91
    bpf:321:280 userfaultfd:323:282 io_uring_setup:425:425 io_uring_enter:426:426 io_uring_register:427:427
    perf_event_open:298:241 keyctl:250:219 add_key:248:217 request_key:249:218 mount:165:40 umount2:166:39
    unshare:272:97 setns:308:268 chroot:161:51 pivot_root:155:41 memfd_create:319:279 memfd_secret:447:447
    shmget:29:194 shmat:30:196 open_by_handle_at:304:265 init_module:175:105 finit_module:313:273
    delete_module:176:106 kexec_load:246:104 reboot:169:142 swapon:167:224 quotactl:179:60 acct:163:89
    personality:135:92
    """
)

CALL_TABLES = (_ALLOWED, _BY_ARGUMENT, _STARTING, _DEADLY)


class _Step(NamedTuple):
    """One instruction; for comparisons, the number of instructions to skip if true, and if false."""

    code: int
    value: int
    if_so: int = 0
    if_not: int = 0


def has_seccomp() -> bool:
    """Whether this kernel can filter system calls, and the architecture is supported here."""
    machine = platform.machine()
    if machine not in MACHINES:
        return False
    action = ctypes.c_uint32(_KILL)
    return call(_SECCOMP[machine], _GET_ACTION, 0, ctypes.addressof(action)) == 0


def restrict_calls(*, programs: bool, signals: bool, machine_code: bool) -> None:
    """Filter the system calls of this process and all its threads. Raises OSError if the kernel refuses.

    `programs`: programs may be started, if their files may be executed; `signals`: they may be sent, since Landlock
    bounds them; `machine_code`: memory may be made executable.
    """
    steps = build_filter(platform.machine(), os.getpid(), programs=programs, signals=signals, machine_code=machine_code)
    code = b"".join(struct.pack("<HBBI", step.code, step.if_so, step.if_not, step.value) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(buffer))
    header = ctypes.create_string_buffer(program, len(program))
    set_no_new_privs()
    if call(_SECCOMP[platform.machine()], _SET_FILTER, 1, ctypes.addressof(header)) != 0:  # 1: all threads
        raise OSError(ctypes.get_errno(), "seccomp is refused")


def build_filter(machine: str, own: int, *, programs: bool, signals: bool, machine_code: bool) -> list[_Step]:
    """The filter of a process with the id `own`."""
    steps = [_Step(_LOAD, _MACHINE), _Step(_EQUAL, MACHINES[machine], 1), _Step(_RETURN, _KILL), _Step(_LOAD, _NUMBER)]
    if machine == "x86_64":
        steps += [_Step(_AT_LEAST, _X32, 0, 1), _Step(_RETURN, _KILL)]
    allowed = {**_ALLOWED[machine], **(_STARTING[machine] if programs else {})}
    for number in allowed.values():
        steps += [_Step(_EQUAL, number, 0, 1), _Step(_RETURN, _ALLOW)]
    conditions = _build_conditions(own, programs=programs, signals=signals and programs, machine_code=machine_code)
    for name, body in conditions.items():
        if name in _BY_ARGUMENT[machine]:
            steps += [_Step(_EQUAL, _BY_ARGUMENT[machine][name], 0, len(body)), *body]
    for name, number in _DEADLY[machine].items():
        if name not in allowed:
            steps += [_Step(_EQUAL, number, 0, 1), _Step(_RETURN, _KILL)]
    steps += [_Step(_AT_LEAST, _NEWEST, 0, 1), _Step(_RETURN, _FAIL | errno.ENOSYS)]
    return [*steps, _Step(_RETURN, _FAIL | errno.EPERM)]


def _build_conditions(own: int, *, programs: bool, signals: bool, machine_code: bool) -> dict[str, list[_Step]]:
    """The rules for calls that depend on their arguments; every list ends with a return."""
    new_thread = [_load(0), _Step(_ANY_BIT, _THREAD | (_VFORK if programs else 0), 0, 1), _Step(_RETURN, _ALLOW)]
    to_itself = [*_allow_if(0, (0, own)), _Step(_RETURN, _KILL)]
    anyone = [_Step(_RETURN, _ALLOW)]
    refused = _Step(_RETURN, _FAIL | errno.EPERM)
    new_code = [] if machine_code else [_load(2), _Step(_ANY_BIT, _EXECUTABLE, 0, 1), refused]
    return {
        "open": _refuse_truncating(1, refused),
        "openat": _refuse_truncating(2, refused),
        "clone": [*new_thread, _Step(_RETURN, _KILL)],
        "clone3": [_Step(_RETURN, _FAIL | errno.ENOSYS)],  # its flags are in memory; libc then falls back to clone
        "mmap": [*_refuse_uncounted(refused, new_code), _Step(_RETURN, _ALLOW)],
        "mprotect": [*new_code, _Step(_RETURN, _ALLOW)],
        "ioctl": [*_allow_if(1, _IOCTLS), refused],
        "prctl": [*_allow_if(0, _PRCTLS), refused],
        "prlimit64": to_itself,
        "kill": anyone if signals else to_itself,
        "tgkill": anyone if signals else to_itself,
    }


def _refuse_uncounted(refused: _Step, new_code: list[_Step]) -> list[_Step]:
    """Refuse memory that no limit covers and, by the steps of `new_code`, executable memory without a file."""
    shared = [_load(3), _Step(_AND, _SHARED_NOWHERE), _Step(_EQUAL, _SHARED_NOWHERE, 0, 1), refused]
    return [*shared, _Step(_ANY_BIT, _PRIVATE_NOWHERE, 0, len(new_code)), *new_code]


def _refuse_truncating(argument: int, refused: _Step) -> list[_Step]:
    """Refuse O_TRUNC with read-only access, which truncates files and older Landlock does not treat as writing."""
    return [
        _load(argument),
        _Step(_AND, _O_TRUNC | _O_ACCMODE),
        _Step(_EQUAL, _O_TRUNC, 0, 1),
        refused,
        _Step(_RETURN, _ALLOW),
    ]


def _load(argument: int) -> _Step:
    """Load the lower half of an argument, which suffices for flags, requests and process ids."""
    return _Step(_LOAD, _ARGUMENTS + 8 * argument)


def _allow_if(argument: int, values: tuple[int, ...]) -> list[_Step]:
    steps = [_load(argument)]
    for value in values:
        steps += [_Step(_EQUAL, value, 0, 1), _Step(_RETURN, _ALLOW)]
    return steps
